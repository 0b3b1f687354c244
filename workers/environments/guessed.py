"""What the tests need although nobody declared it: read from pytest's configuration and from the tests' imports.

Only distributions in the tables below are ever guessed. An unknown import is noted, not looked up by its name: anybody
can register a name.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TEST_FILES_CAP = 2000
FILE_CAP = 1_000_000
CONFIG_FILES = ("pyproject.toml", "pytest.ini", ".pytest.ini", "pytest.toml", "tox.ini", "setup.cfg")

# A pattern in pytest's configuration, and the plugin that understands it.
PLUGINS_BY_CONFIG = {
    r"--(no-)?cov\b|--cov[-=]": "pytest-cov",
    r"asyncio_mode|asyncio_default_fixture|--asyncio-mode": "pytest-asyncio",
    r"^\s*timeout(_method|_func_only)?\s*=|--timeout\b": "pytest-timeout",
    r"(^|[\s\"'])(-n\s?(\d|auto|logical)|-n=|--numprocesses|--dist[ =])": "pytest-xdist",
    r"--benchmark-": "pytest-benchmark",
    r"--randomly-|randomly_seed": "pytest-randomly",
    r"--reruns\b": "pytest-rerunfailures",
    r"--mypy-|mypy_testing": "pytest-mypy-plugins",
    r"DJANGO_SETTINGS_MODULE|--ds[= ]": "pytest-django",
    r"^\s*env\s*=": "pytest-env",
    r"--doctest-plus|doctest_plus\s*=": "pytest-doctestplus",
    r"--strict-httpx|httpx_mock": "pytest-httpx",
    r"--snapshot-": "syrupy",
    r"--sugar|-p no:sugar": "pytest-sugar",
    r"--isort\b": "pytest-isort",
    r"--flake8\b": "pytest-flake8",
    r"--pep8\b": "pytest-pep8",
    r"--subtests|subtests": "pytest-subtests",
    r"run_parallel|parallel_threads": "pytest-run-parallel",
}
# A fixture or a mark in the tests, and the plugin that brings it.
PLUGINS_BY_TEST = {
    r"\bmark\.asyncio\b": "pytest-asyncio",
    r"\bmark\.anyio\b": "anyio",
    r"\bmark\.trio\b": "pytest-trio",
    r"\bmark\.timeout\b": "pytest-timeout",
    r"\bmark\.benchmark\b|def \w+\([^)]*\bbenchmark\b": "pytest-benchmark",
    r"def \w+\([^)]*\bmocker\b": "pytest-mock",
    r"def \w+\([^)]*\bhttpserver\b": "pytest-httpserver",
    r"def \w+\([^)]*\bsubtests\b": "pytest-subtests",
    r"def \w+\([^)]*\bsnapshot\b": "syrupy",
    r"def \w+\([^)]*\b(data|file|num)_regression\b": "pytest-regressions",
    r"def \w+\([^)]*\b(datadir|shared_datadir)\b": "pytest-datadir",
    r"def \w+\([^)]*\bfreezer\b|\bmark\.freeze_time\b": "pytest-freezer",
    r"def \w+\([^)]*\brequests_mock\b": "requests-mock",
    r"def \w+\([^)]*\bfaker\b": "faker",
    r"\bmark\.vcr\b": "pytest-vcr",
    r"\bmark\.django_db\b": "pytest-django",
    r"\bmark\.flaky\(": "pytest-rerunfailures",
    r"\bmark\.(depends|dependency)\b": "pytest-dependency",
}
# An import, and the distribution that brings it.
DISTRIBUTIONS = {
    "aiohttp": "aiohttp", "anyio": "anyio", "attr": "attrs", "attrs": "attrs", "babel": "babel",
    "bs4": "beautifulsoup4",
    "chardet": "chardet", "charset_normalizer": "charset-normalizer", "click": "click", "commentjson": "commentjson",
    "cryptography": "cryptography", "dateutil": "python-dateutil", "ddt": "ddt", "dill": "dill", "django": "django",
    "docutils": "docutils", "dotenv": "python-dotenv", "exceptiongroup": "exceptiongroup", "faker": "faker",
    "flask": "flask", "freezegun": "freezegun", "hamcrest": "pyhamcrest", "html5lib": "html5lib", "httpx": "httpx",
    "hypothesis": "hypothesis", "iniconfig": "iniconfig", "jinja2": "jinja2", "jsonschema": "jsonschema",
    "lxml": "lxml",    "markdown": "markdown", "markupsafe": "markupsafe",
    "mock": "mock", "more_itertools": "more-itertools",
    "msgpack": "msgpack", "multidict": "multidict", "networkx": "networkx", "numpy": "numpy", "orjson": "orjson",
    "packaging": "packaging", "pandas": "pandas", "parameterized": "parameterized", "parametrized": "parametrized",
    "pexpect": "pexpect", "pkg_resources": "setuptools<81", "pretend": "pretend", "psutil": "psutil",
    "pydantic": "pydantic", "pygments": "pygments", "pyfakefs": "pyfakefs", "pytz": "pytz", "regex": "regex",
    "requests": "requests", "requests_mock": "requests-mock", "responses": "responses", "rich": "rich",
    "ruamel": "ruamel.yaml", "setuptools": "setuptools<81", "simplejson": "simplejson", "six": "six",
    "sortedcontainers": "sortedcontainers", "sqlalchemy": "sqlalchemy", "sure": "sure", "tabulate": "tabulate",
    "tblib": "tblib", "testfixtures": "testfixtures", "time_machine": "time-machine", "toml": "toml", "tomli": "tomli",
    "tomli_w": "tomli-w", "tomlkit": "tomlkit", "tornado": "tornado", "trio": "trio", "trustme": "trustme",
    "typing_extensions": "typing-extensions", "tzdata": "tzdata", "ujson": "ujson",
    "urllib3": "urllib3", "wcwidth": "wcwidth", "werkzeug": "werkzeug", "wheel": "wheel", "yaml": "pyyaml",
    "zope": "zope.interface", "pytest_mock": "pytest-mock", "pytest_benchmark": "pytest-benchmark",
    "pytest_asyncio": "pytest-asyncio", "pytest_httpserver": "pytest-httpserver", "syrupy": "syrupy",
    "pytest_regressions": "pytest-regressions", "xdist": "pytest-xdist", "covdefaults": "covdefaults",
    "asyncore": "pyasyncore", "nose": "pynose",
}  # fmt: skip
NEVER_GUESSED = {"pytest", "_pytest", "pluggy", "py", "coverage", "conftest", "__main__", "tests", "test"}
OLD_STYLE = re.compile(r"^\s+def (setup|teardown)\(self\)|^(import|from) nose\b|\bpy\.test\b.*\byield\b", re.MULTILINE)


class Guesses:
    """What was found in a project.

    Attributes:
        wanted: requirement by the reason it is wanted for, in a stable order.
        unknown: imports of the tests that nothing explains.
        old_pytest: the tests are written for a pytest before 8 (nose's setup and teardown).
    """

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.old_pytest = False


def guess(folder: Path) -> Guesses:
    """Scan pytest's configuration and every test file; nothing is run."""
    found = Guesses()
    config = "\n".join(_pytest_config(folder))
    for pattern, plugin in PLUGINS_BY_CONFIG.items():
        if re.search(pattern, config, re.MULTILINE):
            found.wanted.setdefault(plugin, "pytest's configuration")
    own = _own_names(folder)
    if _uses_pkg_resources(folder):
        found.wanted.setdefault(DISTRIBUTIONS["pkg_resources"], "an import of pkg_resources")
    for path in _test_files(folder):
        text = path.read_text("utf-8", errors="replace")
        found.old_pytest = found.old_pytest or bool(OLD_STYLE.search(text))
        for pattern, plugin in PLUGINS_BY_TEST.items():
            if re.search(pattern, text):
                found.wanted.setdefault(plugin, path.name)
        for name in _imports(text) - own:
            if name in DISTRIBUTIONS and name not in _standard():
                found.wanted.setdefault(DISTRIBUTIONS[name], path.name)
            elif name not in _standard() and name not in NEVER_GUESSED:
                found.unknown.add(name)
    return found


def _standard() -> frozenset[str]:
    return sys.stdlib_module_names


def _pytest_config(folder: Path) -> Iterator[str]:
    for name in CONFIG_FILES:
        path = folder / name
        if not path.is_file() or path.is_symlink() or path.stat().st_size > FILE_CAP:
            continue
        for section in re.split(r"(?m)^(?=\[)", path.read_text("utf-8", errors="replace")):
            if re.match(r"\[(tool\.pytest|pytest\]|tool:pytest)", section):
                yield section


def _test_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.rglob("*.py")):
        inner = path.relative_to(folder)
        in_tests = any(part in {"tests", "test", "testing"} for part in inner.parts[:-1])
        named = (
            inner.name.startswith("test_") or inner.stem.endswith("_test") or inner.name in {"conftest.py", "tests.py"}
        )
        hidden = any(part.startswith(".") or part in {"node_modules", "venv"} for part in inner.parts)
        if (in_tests or named) and not hidden and not path.is_symlink() and path.stat().st_size <= FILE_CAP:
            found.append(path)
        if len(found) >= TEST_FILES_CAP:
            break
    return found


def _own_names(folder: Path) -> set[str]:
    """Every module and package the project has: at its roots, and beside its tests."""
    own: set[str] = set()
    for path in folder.rglob("*.py"):
        own.add(path.stem)
        own.update(path.relative_to(folder).parts[:-1])
    return own


def _uses_pkg_resources(folder: Path) -> bool:
    """Older packages ask setuptools for their own version; it once came with every environment."""
    for path in sorted(folder.rglob("*.py"))[:TEST_FILES_CAP]:
        if path.name != "setup.py" and path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_CAP:
            text = path.read_text("utf-8", errors="replace")
            if re.search(r"^(import|from) pkg_resources\b", text, re.MULTILINE):
                return True
    return False


def _imports(text: str) -> set[str]:
    """Top names of absolute imports; also optional ones, for a test that is skipped proves nothing."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found
