"""Environments from what a project declares and what its tests show; from hand-made wheels, nothing is fetched."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from schemas.errors import InvalidInput, Permanent
from workers.environments import Environment, EnvironmentStore
from workers.environments import installer as installer_module
from workers.environments.declared import read_declared
from workers.environments.environment import source_roots
from workers.environments.guessed import guess
from workers.environments.plan import make_plan
from workers.environments.setup_py import setup_arguments
from workers.sandboxes import choose
from workers.tools.pytest_suite import run_suite

POETRY = "[tool.poetry.dependencies]\npython='^3'\na='^1.2'\n[tool.poetry.dev-dependencies]\nt='*'"
EXTRAS = ("test", "tests", "testing", "dev")


def _wheel(
    folder: Path, name: str, version: str = "1.0", needs: tuple[str, ...] = (), files: dict[str, str] | None = None
) -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {n}\n" for n in needs
    )
    members = {
        f"{name}/__init__.py": "WHOSE = 'wheel'\n",
        **(files or {}),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as bundle:
        for path, text in members.items():
            bundle.writestr(path, text)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all the index there is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("pytest", "coverage", "helper"):
        _wheel(folder, name, "9.0.0")
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "thing"\nversion = "2.1"\ndependencies = ["helper"]\n')
    return folder


@pytest.fixture(params=["uv", "pip"])
def with_installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pip":
        monkeypatch.setattr(installer_module, "find_uv", lambda: None)
    elif installer_module.find_uv() is None and not os.environ.get("CI"):
        pytest.skip("uv is not installed")
    return str(request.param)


def _python(environment: Environment, code: str, **env: str) -> str:
    argv = [str(environment.python), "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.strip()


def test_it_is_built_once_and_kept(tmp_path: Path, wheels: Path, project: Path, with_installer: str) -> None:
    store, heard = EnvironmentStore(tmp_path / "a store"), list[str]()
    first = store.prepare(project, progress=heard.append)
    assert {"pytest", "coverage", "helper"} <= set(first.distributions)
    assert first.has("Helper")
    assert not first.has("thing")
    assert _python(first, "import helper; print(helper.WHOSE)") == "wheel"
    assert any("installing" in line for line in heard)
    heard.clear()
    begun = time.monotonic()
    assert store.prepare(project, progress=heard.append) == first
    assert time.monotonic() - begun < 1.0
    assert heard == []


def test_another_dependency_is_another_environment(tmp_path: Path, wheels: Path, project: Path) -> None:
    store = EnvironmentStore(tmp_path / "store")
    first = store.prepare(project)
    (project / "pyproject.toml").write_text('[project]\nname = "thing"\nversion = "2.1"\n')
    second = store.prepare(project)
    assert first.key != second.key
    assert not second.has("helper")


def test_the_remains_of_a_crash_are_built_again(tmp_path: Path, wheels: Path, project: Path) -> None:
    store = EnvironmentStore(tmp_path / "store")
    environment = store.prepare(project)
    place = environment.python.parent.parent.parent
    (place / "complete.json").unlink()
    (place / "venv/bin/python").unlink()
    again = store.prepare(project)
    assert again.python.exists()
    assert again.has("helper")


def _prepare(root: Path, project: Path, built: multiprocessing.Queue[int]) -> None:  # type: ignore[type-arg, unused-ignore]
    heard: list[str] = []
    EnvironmentStore(root).prepare(project, progress=heard.append)
    built.put(sum("making a virtual environment" in line for line in heard))


def test_of_several_workers_one_builds_and_the_others_wait(tmp_path: Path, wheels: Path, project: Path) -> None:
    context = multiprocessing.get_context("spawn")
    built = context.Queue()
    workers = [context.Process(target=_prepare, args=(tmp_path / "store", project, built)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sum(built.get(timeout=5) for _ in workers) == 1
    built.close()
    built.join_thread()


def test_an_optional_one_that_is_not_to_be_had_is_noted(
    tmp_path: Path, wheels: Path, project: Path, with_installer: str
) -> None:
    text = (
        '[project]\nname = "thing"\nversion = "2"\n[dependency-groups]\ntest = ["helper==77", "missing-thing", "tox"]\n'
    )
    (project / "pyproject.toml").write_text(text)
    environment = EnvironmentStore(tmp_path / "store").prepare(project)
    assert environment.has("helper")
    notes = " | ".join(environment.notes)
    assert "helper==77 cannot be installed; another version was taken" in notes
    assert "missing-thing is for the tests and cannot be installed" in notes
    assert "left out, for no test needs them: tox" in notes


def test_a_mandatory_one_that_is_not_to_be_had_is_the_end(
    tmp_path: Path, wheels: Path, project: Path, with_installer: str
) -> None:
    (project / "pyproject.toml").write_text(
        '[project]\nname = "t"\nversion = "2"\ndependencies = ["missing-thing>3"]\n'
    )
    with pytest.raises(Permanent, match="missing-thing") as caught:
        EnvironmentStore(tmp_path / "store").prepare(project)
    assert caught.value.hint


def test_a_release_leaves_its_metadata_and_not_its_code(tmp_path: Path, wheels: Path, project: Path) -> None:
    _wheel(wheels, "thing", "2.1", needs=("helper",), files={"thing/inner/deep.py": "x = 1\n"})
    (project / "thing").mkdir()
    (project / "thing/__init__.py").write_text("WHOSE = 'workspace'\n")
    environment = EnvironmentStore(tmp_path / "store").prepare(project, requirement="thing==2.1")
    assert environment.distributions["thing"] == "2.1"
    assert not (environment.site_packages / "thing").exists()
    paths = ":".join(map(str, environment.pythonpath(project)))
    code = "import thing, importlib.metadata as m; print(thing.WHOSE, m.version('thing'))"
    assert _python(environment, code, PYTHONPATH=paths) == "workspace 2.1"


def test_compiled_parts_of_a_release_are_kept_and_noted(tmp_path: Path, wheels: Path, project: Path) -> None:
    _wheel(wheels, "thing", "2.1", files={"thing/fast.so": "elf"})
    environment = EnvironmentStore(tmp_path / "store").prepare(project, requirement="thing==2.1")
    assert (environment.site_packages / "thing/fast.so").exists()
    assert any("compiled parts" in note for note in environment.notes)


def test_what_is_no_folder_or_no_requirement_is_refused(tmp_path: Path, project: Path) -> None:
    store = EnvironmentStore(tmp_path / "store")
    with pytest.raises(InvalidInput):
        store.prepare(tmp_path / "none")
    with pytest.raises(InvalidInput):
        store.prepare(project, requirement="== what")


def test_the_longest_unused_are_swept(tmp_path: Path, wheels: Path, project: Path) -> None:
    store = EnvironmentStore(tmp_path / "store", keep=1)
    old = store.prepare(project)
    place = old.python.parent.parent.parent
    os.utime(place / "complete.json", (1, 1))
    (project / "pyproject.toml").write_text("")
    new = store.prepare(project)
    assert not place.exists()
    assert new.python.exists()


def test_pyproject_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        """
[build-system]
requires = ["hatchling"]
[project]
name = "x"
dependencies = ["a>1", "b; python_version < '3'", "c @ https://example.org/c.whl"]
[project.optional-dependencies]
test = ["t1"]
dev = ["d1"]
[dependency-groups]
tests = [{include-group = "more"}, "t2"]
more = [{include-group = "tests"}, "t3"]
"""
    )
    declared = read_declared(tmp_path, EXTRAS)
    assert [str(r) for r in declared.needed] == ["a>1"]
    assert {str(r) for r in declared.testing} == {"t1", "t2", "t3"}
    assert [str(r) for r in declared.builds] == ["hatchling"]
    assert any("URL" in note for note in declared.notes)


@pytest.mark.parametrize(
    ("files", "needed", "testing"),
    [
        ({"setup.cfg": "[options]\ninstall_requires =\n  a\n[options.extras_require]\ntesting =\n  t\n"}, {"a"}, {"t"}),
        (
            {"setup.py": "import setuptools as s\nD=['a']\ns.setup(install_requires=D+['b'], tests_require='t')"},
            {"a", "b"},
            {"t"},
        ),
        ({"requirements.txt": "a==1 # why\n-r more.txt\n-e .\n", "more.txt": "b\n"}, {"a==1", "b"}, set()),
        ({"requirements-dev.txt": "t\n"}, set(), {"t"}),
        ({"tox.ini": "[testenv]\ndeps =\n  t\n  py27: old\n  -rr.txt\n", "r.txt": "u"}, set(), {"t", "u"}),
        ({"pyproject.toml": POETRY}, {"a>=1.2"}, {"t"}),
        ({"pyproject.toml": "not = [toml"}, set(), set()),
        ({}, set(), set()),
    ],
)  # fmt: skip
def test_every_way_of_declaring(tmp_path: Path, files: dict[str, str], needed: set[str], testing: set[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    declared = read_declared(tmp_path, EXTRAS)
    assert {str(r) for r in declared.needed} == needed
    assert {str(r) for r in declared.testing} == testing


def test_setup_py_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w'); import setuptools; setuptools.setup(name='x')"
    )
    assert read_declared(tmp_path, EXTRAS).name == "x"
    assert not (tmp_path / "ran").exists()
    assert setup_arguments("print 'python two'") == {}


def test_plugins_and_imports_are_guessed_from_tables_only(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--cov=x -n auto"\nasyncio_mode = "auto"\n'
    )
    (tmp_path / "helpers.py").write_text("")
    (tmp_path / "tests").mkdir()
    code = "import json, yaml, helpers, surely_unknown_thing\nfrom hypothesis import given\ndef test_a(mocker): pass\n"
    (tmp_path / "tests/test_a.py").write_text(code)
    found = guess(tmp_path)
    assert set(found.wanted) == {"pytest-cov", "pytest-xdist", "pytest-asyncio", "pytest-mock", "pyyaml", "hypothesis"}
    assert found.unknown == {"surely_unknown_thing"}
    plan = make_plan(tmp_path, None, EXTRAS)
    assert "hypothesis" in plan.optional
    assert any("surely_unknown_thing" in note for note in plan.notes)


def test_the_pytest_that_fits(tmp_path: Path) -> None:
    def pytest_for(wish: str, test: str = "") -> str:
        (tmp_path / "requirements-test.txt").write_text(wish)
        (tmp_path / "test_x.py").write_text(test)
        return next(r for r in make_plan(tmp_path, None, EXTRAS).mandatory if r.startswith("pytest"))

    assert pytest_for("pytest<9,>=8") == "pytest<9,>=8"
    assert pytest_for("pytest==3.2.1") == "pytest"
    assert pytest_for("pytest") == "pytest"
    assert pytest_for("", "class TestX:\n    def setup(self): pass\n") == "pytest>=7.4,<8"


def test_source_roots(tmp_path: Path) -> None:
    (tmp_path / "src/pack").mkdir(parents=True)
    assert source_roots(tmp_path) == (tmp_path,)
    (tmp_path / "src/pack/__init__.py").write_text("")
    assert source_roots(tmp_path) == (tmp_path / "src", tmp_path)
    (tmp_path / "src/__init__.py").write_text("")
    assert source_roots(tmp_path) == (tmp_path,)


@pytest.mark.network
@pytest.mark.usefixtures("bubblewrap")
def test_a_project_that_asks_for_its_own_metadata_is_built_in_the_sandbox(tmp_path: Path) -> None:
    folder = tmp_path / "own version"
    (folder / "src/thing").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\n'
        '[project]\nname = "thing"\nversion = "4.2"\ndescription = "d"\n'
    )
    (folder / "src/thing/__init__.py").write_text(
        "from importlib.metadata import version\n__version__ = version('thing')\n"
    )
    test = "import thing\ndef test_v():\n    assert thing.__version__ == '4.2'\n"
    test += "    assert 'site-packages' not in thing.__file__\n"
    (folder / "tests/test_v.py").write_text(test)
    before = sorted(folder.rglob("*"))
    environment = EnvironmentStore(tmp_path / "store").prepare(folder)
    assert environment.distributions.get("thing") == "4.2", environment.notes
    assert run_suite(folder, environment, choose()).outcome == "passed"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.network
def test_the_plain_case_is_quick(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/test_a.py").write_text("def test_a(): pass\n")
    begun = time.monotonic()
    environment = EnvironmentStore(tmp_path / "store").prepare(tmp_path / "p")
    assert time.monotonic() - begun < 15
    assert environment.notes == ()
    assert environment.python.name == "python"
