"""The oldest Python a project supports, read from its metadata without running any of it."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

# What is assumed of a project that does not say; ruff assumes the same.
ASSUMED = (3, 10)
_CANDIDATES = [(2, 7), *((3, minor) for minor in range(3, 21))]
_MAX_BYTES = 1_000_000


def python_floor(folder: Path) -> tuple[int, int]:
    """The oldest minor version that ``requires-python`` admits, such as (3, 9).

    Looks into ``pyproject.toml`` (also Poetry's table), ``setup.cfg`` and ``setup.py``, in this order. What cannot be
    read counts as not said.
    """
    for name, reader in (("pyproject.toml", _pyproject), ("setup.cfg", _setup_cfg), ("setup.py", _setup_py)):
        specifier = reader(_text(folder / name))
        floor = _lowest(specifier) if specifier else None
        if floor is not None:
            return floor
    return ASSUMED


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return ""
    return path.read_bytes().decode("utf-8", "replace")


def _lowest(specifier: str) -> tuple[int, int] | None:
    # Poetry's caret and tilde bound from above as well; only the lower bound matters here.
    plain = re.sub(r"[\^~](?=\d)", ">=", specifier.replace("~=", ">="))
    try:
        admitted = SpecifierSet(plain)
    except InvalidSpecifier:
        return None
    for major, minor in _CANDIDATES:
        # A bound such as >=3.8.1 admits some 3.8, so the newest patch release is asked about too.
        if any(f"{major}.{minor}.{patch}" in admitted for patch in (0, 99)):
            return major, minor
    return None


def _pyproject(text: str) -> str:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ""
    said = _dig(document, "project", "requires-python") or _dig(document, "tool", "poetry", "dependencies", "python")
    return said if isinstance(said, str) else ""


def _dig(document: object, *keys: str) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _setup_cfg(text: str) -> str:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return ""
    return parser.get("options", "python_requires", fallback="").strip()


def _setup_py(text: str) -> str:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "python_requires" and isinstance(node.value, ast.Constant):
            return node.value.value if isinstance(node.value.value, str) else ""
    return ""
