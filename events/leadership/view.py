"""What one member knows of its group, folded from the entries that it has watched."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from events.leadership.port import Entry
from schemas.leaders import MEMBER, PART, SHAPE, Member, Part, Shape

_log = logging.getLogger(__name__)
_members = msgspec.json.Decoder(Member)
_parts = msgspec.json.Decoder(Part)
_shapes = msgspec.json.Decoder(Shape)


@dataclass(frozen=True, slots=True)
class SeenMember:
    """A member's record, and when it was heard of, in monotonic seconds."""

    record: Member
    revision: int
    heard_at: float


@dataclass(frozen=True, slots=True)
class SeenPart:
    """A partition's record."""

    record: Part
    revision: int


class View:
    """Members, partitions and shape of one group."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.members: dict[str, SeenMember] = {}
        self.parts: dict[int, SeenPart] = {}
        self.shape: tuple[Shape, int] | None = None

    def take(self, entry: Entry, now: float) -> bool:
        """Take an entry in. Whether it says anything new: a sign of life does not."""
        kind, _, name = entry.key.removeprefix(f"{self._group}.").partition(".")
        try:
            if kind == MEMBER:
                return self._take_member(name, _members.decode(entry.value), entry.revision, now)
            if kind == PART:
                return self._take_part(int(name), _parts.decode(entry.value), entry.revision)
            if kind == SHAPE:
                self.shape = (_shapes.decode(entry.value), entry.revision)
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            _log.warning("passed over %s: %s", entry.key, error)
        return True

    def _take_member(self, name: str, record: Member, revision: int, now: float) -> bool:
        known = self.members.get(name)
        if known is not None and known.revision >= revision:
            return False
        self.members[name] = SeenMember(record, revision, now)
        return known is None or known.record != record

    def _take_part(self, part: int, record: Part, revision: int) -> bool:
        known = self.parts.get(part)
        if known is not None and known.revision >= revision:
            return False
        self.parts[part] = SeenPart(record, revision)
        return True

    def hear_anew(self, now: float) -> None:
        """Nothing was heard for a while: nobody's silence counts that was before now."""
        self.members = {
            name: SeenMember(seen.record, seen.revision, max(now, seen.heard_at)) for name, seen in self.members.items()
        }

    def lives(self, name: str) -> bool:
        """Whether what this member leads is its own."""
        seen = self.members.get(name)
        return seen is not None and seen.record.state != "gone"

    def here(self) -> list[str]:
        """Members that take their share."""
        return sorted(name for name, seen in self.members.items() if seen.record.state == "here")

    def owners(self) -> dict[int, str]:
        """Partition to the living member that leads it."""
        return {part: seen.record.member for part, seen in self.parts.items() if self.lives(seen.record.member)}

    def revision_of(self, part: int) -> int:
        """0 if nobody ever led it."""
        seen = self.parts.get(part)
        return seen.revision if seen is not None else 0

    def how_it_became_free(self, part: int) -> tuple[str, str]:
        """Who led a partition that nobody leads, and why it does no more; both empty if nobody ever did."""
        seen = self.parts.get(part)
        if seen is None:
            return "", ""
        record = seen.record
        if not record.member:
            return record.before, record.why
        gone = self.members.get(record.member)
        return record.member, gone.record.why if gone is not None and gone.record.why else f"{record.member} is gone"
