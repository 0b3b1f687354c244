"""Unpacks archives from strangers: nothing leaves the folder, nothing grows without a bound."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

from schemas.errors import InvalidSource
from workers.sources.source import Meter, SourceLimits


def unpack(archive: Path, filename: str, into: Path, limits: SourceLimits) -> tuple[str, ...]:
    """Unpack a .tar.gz or .zip; return notes about entries that were left out.

    Raises:
        InvalidSource: it is no archive, is over the limits, or tries to write elsewhere.
    """
    into.mkdir()
    meter = Meter(filename, limits)
    try:
        return _unzip(archive, into, meter) if filename.endswith(".zip") else _untar(archive, into, meter)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError) as error:
        raise InvalidSource(f"{filename} cannot be unpacked: {error}", hint="choose another release") from error


def _untar(archive: Path, into: Path, meter: Meter) -> tuple[str, ...]:
    left_out = []
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            meter.add(member.size)
            if member.issym() or member.islnk():
                left_out.append(f"the link {member.name} was left out")
                continue
            tar.extract(member, into, filter="data")
    return tuple(left_out[:20])


def _unzip(archive: Path, into: Path, meter: Meter) -> tuple[str, ...]:
    left_out = []
    with zipfile.ZipFile(archive) as bundle:
        for entry in bundle.infolist():
            meter.add(entry.file_size)
            target = (into / entry.filename).resolve()
            if not target.is_relative_to(into.resolve()):
                raise InvalidSource(f"the entry {entry.filename!r} points out of its archive")
            if stat.S_ISLNK(entry.external_attr >> 16):
                left_out.append(f"the link {entry.filename} was left out")
            elif entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entry) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)  # stops with an error at the size the entry declares
    return tuple(left_out[:20])
