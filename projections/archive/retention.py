"""Keeping the stream small: what is archived, proved, and needed by nobody may go.

A policy says how much is wanted gone; then everybody who still needs something is asked, and the one who needs the
oldest decides. Who holds it is told. See ``docs/decisions/0014-the-archive-lets-the-stream-forget.md``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from events.jetstream.keeping import StreamSize
from events.port import Log, Window
from projections.archive.checking import damage
from projections.archive.commits import Commit, manifest
from projections.archive.places import Place
from projections.archive.repairing import repair
from schemas.envelope import NO_MISSION
from schemas.errors import StigmergyError
from schemas.events.mission import BEGINNINGS, ENDS, is_open
from schemas.stops import StopRecord
from schemas.subjects import noun_filter

_log = logging.getLogger(__name__)
GRACE = timedelta(hours=1)
"""Younger messages stay, whatever the policy: message ids must be known for their window of ten minutes even after a
restart of the server, followers are a moment behind, and a late word should meet the claim it repeats."""
MARKS = "retention.json"
"""In the archive: how far each read model was when it last answered. Positions only grow, so that one which is away
now needs nothing older."""


class Stream(Protocol):
    """As :class:`events.jetstream.keeping.EventsStream`."""

    async def size(self) -> StreamSize: ...
    async def needed_by_consumers(self) -> dict[str, int]: ...
    async def drop_before(self, sequence: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What is wanted: messages no older than ``max_age`` behind the newest, no more than about ``max_bytes``."""

    max_age: timedelta | None = None
    max_bytes: int | None = None

    @property
    def keeps_all(self) -> bool:
        return self.max_age is None and self.max_bytes is None


@dataclass
class Outcome:
    """``first``: the oldest sequence that is still there. ``wanted``: what the policy would begin with. ``holds``: who
    needs which sequence and all behind it. ``dropped``: messages that went."""

    first: int = 0
    wanted: int = 0
    dropped: int = 0
    holds: dict[str, int] = field(default_factory=dict)

    @property
    def held_by(self) -> str:
        """Who keeps the policy from being met; empty if it is met."""
        if self.first >= self.wanted or not self.holds:
            return ""
        return min(self.holds, key=self.holds.__getitem__)


class Retention:
    """Carries a policy out. One at a time for a stream: the archive's writer has it.

    Args:
        needed: read models that answer, and the first sequence that each has not taken in.
    """

    def __init__(
        self,
        log: Log,
        place: Place,
        stream: Stream,
        policy: Policy,
        needed: Callable[[], Awaitable[Mapping[str, int]]],
        *,
        grace: timedelta = GRACE,
    ) -> None:
        self._log, self._place, self._stream = log, place, stream
        self.policy, self._needed, self._grace = policy, needed, grace
        self._proved: set[Commit] = set()
        self.outcome = Outcome()
        self.trouble = ""

    async def run(self, every_s: float = 60.0) -> None:
        """For ever; what fails is told and tried again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.once()
                self.trouble = ""
            except StigmergyError as error:
                if error.message != self.trouble:
                    _log.error("nothing is dropped from the stream: %s (%s)", error.message, error.hint)
                self.trouble = error.message

    async def once(self) -> Outcome:
        """Drop what may go.

        Raises:
            LogUnavailable, ArchiveUnavailable, ArchiveDamaged: nothing was dropped.
        """
        before, self.outcome = self.outcome.held_by, await self.look()
        found = self.outcome
        if not found.holds:
            return found
        begin = await self._proved_until(found.first, min(found.wanted, *found.holds.values()))
        if begin > found.first:
            found.dropped = await self._stream.drop_before(begin)
            found.first = begin
            _log.info("dropped %d messages from the stream; it begins at %d", found.dropped, begin)
        if (holder := found.held_by) and holder != before:
            _log.info("the stream should begin at %d; %s needs %d", found.wanted, holder, found.holds[holder])
        return found

    async def look(self) -> Outcome:
        """What the policy wants and who holds it, without dropping anything; nobody is asked if it is met."""
        size = await self._stream.size()
        if not size.messages or (wanted := await self._wanted(size)) <= size.first:
            return Outcome(size.first, size.first)
        return Outcome(size.first, wanted, holds=await self._holds(size))

    async def _wanted(self, size: StreamSize) -> int:
        """The sequence that the policy would have the stream begin with."""
        wanted = size.first
        if self.policy.max_age is not None:
            # By the clock of the server alone, and behind its newest message: if ours is wrong, nothing goes for it.
            wanted = max(wanted, await self._first_since(size, size.newest - self.policy.max_age))
        if self.policy.max_bytes is not None and size.bytes > self.policy.max_bytes:
            surplus = 1 - self.policy.max_bytes / size.bytes
            wanted = max(wanted, size.first + int(surplus * (size.last + 1 - size.first)))
        return wanted

    async def _holds(self, size: StreamSize) -> dict[str, int]:
        archived = (await asyncio.to_thread(manifest, self._place)).end
        young = size.newest - self._grace
        holds = {"the archive": archived + 1, "the grace of an hour": await self._first_since(size, young)}
        holds |= {f"the consumer {name}": need for name, need in (await self._stream.needed_by_consumers()).items()}
        holds |= {f"the read model {name}": need for name, need in (await self._marks()).items()}
        if (mission := await self._oldest_mission(young)) is not None:
            holds[f"the mission {mission[0]}"] = mission[1]
        if (stop := await self._oldest_stop()) is not None:
            holds[f"the stop {stop[0]}"] = stop[1]
        return holds

    async def _first_since(self, size: StreamSize, moment: datetime) -> int:
        async with aclosing(self._log.read(Window(since=moment))) as events:  # type: ignore[type-var]
            async for event in events:
                return int(event.sequence)
        return size.last + 1

    async def _oldest_mission(self, young: datetime) -> tuple[str, int] | None:
        """The mission submitted first of those that are open, or have begun or ended since ``young``."""
        counts = await self._log.missions((*BEGINNINGS, *ENDS))
        needed = {key for key, types in counts.items() if is_open(types)}
        async for event in self._log.read(
            Window(tuple(f"events.*.*.{one}" for one in (*BEGINNINGS, *ENDS)), since=young)
        ):
            needed.add((event.tenant, event.mission))
        if not needed:
            return None
        async for event in self._log.read(Window(("events.*.*.mission.submitted",))):
            if (event.tenant, event.mission) in needed:
                return event.mission, event.sequence
        return None

    async def _oldest_stop(self) -> tuple[str, int] | None:
        """The stop in force that was recorded first: whoever starts reads from the stream what is stopped."""
        record, places = StopRecord(), dict[str, int]()
        async for event in self._log.read(Window((noun_filter("reflex", mission=NO_MISSION),))):
            record.take(event)
            for name in record.stops:
                places.setdefault(name, event.sequence)
        return min(((name, places[name]) for name in record.stops), key=lambda one: one[1], default=None)

    async def _marks(self) -> dict[str, int]:
        """What each read model that ever answered still needs; those that are away, by their last word."""
        known = await asyncio.to_thread(marks, self._place)
        now = {**known, **await self._needed()}
        if now != known:
            await asyncio.to_thread(self._place.write, MARKS, msgspec.json.encode(now))
        return now

    async def _proved_until(self, first: int, until: int) -> int:
        """``until``, or less where a file of the archive is not as it was written: then it is mended first."""
        chain = (await asyncio.to_thread(manifest, self._place)).chain
        for commit in chain:
            if commit.last < first or commit.first >= until or commit in self._proved:
                continue
            if wrong := await asyncio.to_thread(lambda one=commit: list(damage(self._place, one))):  # type: ignore[misc]
                _log.error("the archive is damaged, and mended from the log: %s", "; ".join(wrong))
                await repair(self._place, self._log)
                return min(until, max(first, commit.first))  # the rest next time, when it is proved again
            self._proved.add(commit)
        self._proved = {commit for commit in self._proved if commit.last >= until}
        return until


def marks(place: Place) -> dict[str, int]:
    """The first sequence that each known read model still needed when it last answered."""
    try:
        raw = place.read(MARKS)
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(raw, type=dict[str, int])


def forget(place: Place, name: str) -> bool:
    """No longer wait for a read model that is gone for good; False if it was not known."""
    known = marks(place)
    if name not in known:
        return False
    place.write(MARKS, msgspec.json.encode({other: need for other, need in known.items() if other != name}))
    return True
