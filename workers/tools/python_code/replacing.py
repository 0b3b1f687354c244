"""Writes a file so that a crash leaves the old one or the new one, and nothing between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Replace the contents of an existing file, keeping its mode.

    The new file takes the old one's place by a rename: a hard link to the old one, say in a store of contents that the
    folder was filled from, keeps the old bytes.
    """
    mode = path.stat().st_mode & 0o7777
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
