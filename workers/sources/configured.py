"""Which package index the user has chosen, as pip is configured for it: files, environment, or pip's own default.

pip is asked, not imitated: ``pip config list`` knows every place a setting may stand in, and the help text of ``pip
download`` names the default. Both are public; pip's Python modules are not.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from schemas.errors import ToolMissing

PIP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """The chosen index. URLs may hold a password: show them only through `redacted`."""

    index_url: str
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificates: str | None = None


def index_config() -> IndexConfig:
    """What pip would use now; a change of the environment is seen.

    Raises:
        ToolMissing: nothing names an index and pip is nowhere to be found.
    """
    relevant = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(("PIP_", "UV_"))))
    return _asked(relevant)


@lru_cache(maxsize=8)
def _asked(_environment: tuple[tuple[str, str], ...]) -> IndexConfig:
    settings = pip_settings()
    chosen = settings.get("index-url") or os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return IndexConfig(
        index_url=(chosen or _default_index()).rstrip("/"),
        extra_index_urls=tuple(url.rstrip("/") for url in settings.get("extra-index-url", "").split()),
        find_links=tuple(settings.get("find-links", "").split()),
        certificates=settings.get("cert"),
    )


def pip_command() -> list[str] | None:
    """How to start pip: the installed one, else the one that comes with Python; None where there is neither."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    bundled = importlib.util.find_spec("ensurepip")
    folders = [Path("/usr/share/python-wheels")]
    if bundled is not None and bundled.origin:
        folders.insert(0, Path(bundled.origin).parent / "_bundled")
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return [sys.executable, f"{wheels[-1]}/pip"] if wheels else None  # a wheel of pip can be run as it is


def pip_settings() -> dict[str, str]:
    """Settings by plain name. A later section wins: global, then a command's own, then the environment."""
    said = _pip("config", "list")
    found: dict[str, tuple[int, str]] = {}
    for line in said.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {":env:": 3, "download": 2, "install": 1, "global": 0}.get(section)
        if rank is None or rank < found.get(name, (-1, ""))[0]:
            continue
        try:
            found[name] = (rank, str(ast.literal_eval(value)))
        except (ValueError, SyntaxError):
            found[name] = (rank, value)
    return {name: value for name, (_, value) in found.items()}


def _default_index() -> str:
    told = re.search(r"Package\s+Index\s+\(default\s+(\S+?)\)", _pip("--isolated", "download", "--help"))
    if told is None:
        raise ToolMissing("no package index is configured", hint="install pip, or set PIP_INDEX_URL")
    return told[1]


def _pip(*arguments: str) -> str:
    pip = pip_command()
    if pip is None:
        return ""
    env = {**os.environ, "COLUMNS": "300", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, timeout=PIP_TIMEOUT_S, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # a pip that does not answer configures nothing; the caller says what is missing
    return done.stdout


def redacted(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
