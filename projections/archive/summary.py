"""What an archive holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from projections.archive.blobs import BlobCopies
from projections.archive.commits import Manifest, manifest
from projections.archive.places import Place


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one tenant."""

    tenant: str
    date: str
    files: int
    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Summary:
    """``end`` is the last sequence archived without a gap before it; ``ranges`` how many commits; ``leftovers`` files
    that do not count."""

    place: str
    end: int
    ranges: int
    files: int
    events: int
    bytes: int
    leftovers: int
    gap: tuple[int, int] | None
    days: tuple[Day, ...]
    absent: tuple[tuple[int, int], ...] = ()
    """Ranges that this archive never had."""
    blobs: int = 0
    blob_bytes: int = 0

    @property
    def bytes_per_event(self) -> float:
        return self.bytes / self.events if self.events else 0.0


def summary(place: Place) -> Summary:
    """Count. Raises :class:`~projections.archive.errors.ArchiveDamaged` for a commit that cannot be read."""
    found = manifest(place)
    files = [file for commit in found.chain for file in commit.files]
    counted = {file.path for file in files}
    present = [one.path for one in place.list("") if one.path.startswith("tenant=")]
    copies = list(BlobCopies(place).all())
    return Summary(
        place=place.name,
        end=found.end,
        ranges=len(found.chain),
        files=len(files),
        events=sum(commit.events for commit in found.chain),
        bytes=sum(file.bytes for file in files),
        leftovers=sum(path not in counted for path in present),
        gap=None if found.beyond_gap is None else (found.end + 1, found.beyond_gap - 1),
        days=_days(found),
        absent=found.absent,
        blobs=len(copies),
        blob_bytes=sum(one.size for one in copies),
    )


def _days(found: Manifest) -> tuple[Day, ...]:
    totals: dict[tuple[str, str], tuple[int, int, int]] = {}
    for commit in found.chain:
        for file in commit.files:
            key = (file.tenant, file.date)
            files, events, size = totals.get(key, (0, 0, 0))
            totals[key] = (files + 1, events + file.rows, size + file.bytes)
    return tuple(Day(*key, *numbers) for key, numbers in sorted(totals.items()))
