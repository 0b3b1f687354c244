"""``pypi:NAME[==VERSION]``: the source distribution of a release."""

from __future__ import annotations

import platform
import re
import shutil
import tempfile
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from schemas.errors import InvalidSource
from workers.sources.archive import unpack
from workers.sources.configured import index_config, redacted
from workers.sources.index import IndexedFile, download, project_files
from workers.sources.source import Progress, Source, SourceLimits, disk_errors

SPEC = re.compile(
    r"^\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:(?:==|@)\s*(?P<version>[^\s=@]+))?\s*$"
)


def fetch_pypi(spec: str, into: Path, limits: SourceLimits, progress: Progress) -> Source:
    """Fetch and unpack; see `workers.sources.fetch`."""
    match = SPEC.match(spec)
    if match is None:
        raise InvalidSource(f"pypi:{spec} names no release", hint="write pypi:NAME or pypi:NAME==VERSION")
    name, config = str(canonicalize_name(match["name"])), index_config()
    progress(f"asking {redacted(config.index_url)} for {name}")
    version, file = _choose(name, match["version"], project_files(name, config))
    progress(f"fetching {file.filename}")
    with disk_errors(into), tempfile.TemporaryDirectory(prefix="stigmergy-sdist-") as place:
        archive = Path(place) / "sdist"
        download(file, archive, config, limits.total_bytes, lambda _: None)
        unpacked = Path(place) / "unpacked"
        notes = unpack(archive, file.filename, unpacked, limits)
        _lift(unpacked, into, file.filename)
    unchecked = () if file.sha256 else (f"the index gives no hash for {file.filename}; it could not be checked",)
    return Source(
        kind="pypi",
        origin=f"pypi:{name}=={version}",
        name=match["name"],
        version=str(version),
        folder=into,
        requirement=f"{name}=={version}",
        notes=(*notes, *unchecked),
    )


def _choose(name: str, wanted: str | None, files: tuple[IndexedFile, ...]) -> tuple[Version, IndexedFile]:
    """The sdist of the wanted version, else of the newest final one that is not yanked and runs on this Python."""
    found = [(v, f) for f in files if (v := _sdist_version(name, f.filename)) is not None]
    if not found:
        told = "has no source distribution" if files else "has no files"
        raise InvalidSource(f"{name} {told} on the package index", hint="fetch it from its git repository instead")
    if wanted is not None:
        return _exact(name, wanted, found)
    fitting = [(v, f) for v, f in found if not f.yanked and _runs_here(f)]
    final = [(v, f) for v, f in fitting if not v.is_prerelease] or fitting
    if not final:
        raise InvalidSource(f"no release of {name} is for Python {platform.python_version()}", hint="name a version")
    return max(final, key=lambda pair: (pair[0], pair[1].filename.endswith(".tar.gz")))


def _exact(name: str, wanted: str, found: list[tuple[Version, IndexedFile]]) -> tuple[Version, IndexedFile]:
    try:
        version = Version(wanted)
    except InvalidVersion as error:
        raise InvalidSource(f"{wanted!r} is no version", hint=f"write pypi:{name}==1.2.3") from error
    fitting = [(v, f) for v, f in found if v == version]
    if not fitting:
        newest = ", ".join(str(v) for v in sorted({v for v, _ in found}, reverse=True)[:5])
        raise InvalidSource(f"{name} {version} has no source distribution", hint=f"the newest that have one: {newest}")
    return max(fitting, key=lambda pair: pair[1].filename.endswith(".tar.gz"))


def _sdist_version(name: str, filename: str) -> Version | None:
    try:
        # A few old projects still have .tar.bz2 and .tgz; what the standard does not know is left alone.
        told, version = parse_sdist_filename(filename)
    except (InvalidSdistFilename, InvalidVersion):
        return None
    return version if told == name else None


def _runs_here(file: IndexedFile) -> bool:
    try:
        return platform.python_version() in SpecifierSet(file.requires_python or "", prereleases=True)
    except InvalidSpecifier:
        return True  # old releases have unreadable ones; they said nothing then


def _lift(unpacked: Path, into: Path, filename: str) -> None:
    """Move the one folder of the archive to ``into``."""
    tops = [p for p in unpacked.iterdir() if p.is_dir()]
    if len(tops) != 1:
        raise InvalidSource(f"{filename} is no source distribution: it holds {len(tops)} folders at its top")
    for path in sorted(tops[0].iterdir()):
        shutil.move(path, into / path.name)
