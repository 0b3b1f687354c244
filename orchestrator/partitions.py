"""The partitions of missions that this replica leads: what is within its reach, and what changes with them.

Partitions save work; that decisions are right does not depend on them (:mod:`events.leadership.group`). Roads not
taken: a consumer for each partition needs the partition in the subject, which is for ever; handing a command on to the
replica that leads its mission makes the answer depend on two processes: whoever takes it from the queue folds the
mission for a moment and decides, and the guard does the rest (:meth:`orchestrator.desks.Desks.visiting`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from events.leadership.group import Group, Taken
from events.port import Log
from orchestrator.desk import Desk
from orchestrator.desks import Desks
from orchestrator.recording import Recorder
from schemas.envelope import NO_MISSION
from schemas.errors import StigmergyError
from schemas.events.base import TookOverPayload
from schemas.ids import uuid7
from schemas.leaders import part_of

_log = logging.getLogger(__name__)


class Chronicle:
    """Notes on the log that partitions came from another member: who follows whom, and why.

    Args:
        kind: the type of the role's notes.
        tenant: where they are kept.
    """

    def __init__(self, log: Log, recorder: Recorder, kind: type[TookOverPayload], tenant: str) -> None:
        self._log, self._recorder, self._kind, self._tenant = log, recorder, kind, tenant

    async def note(self, taken: Taken, group: Group) -> None:
        """One event, however many partitions. It decides nothing, so leading does not wait for a log that is away."""
        parts = tuple(sorted(taken.terms))
        payload = self._kind(
            member=group.who, partitions=parts, of=group.partitions, before=taken.before, because=taken.why
        )
        event = self._recorder.event(self._tenant, NO_MISSION, payload, uuid7(), None)
        try:
            await self._log.append([event])
        except StigmergyError as error:
            _log.warning("that %s took over could not be noted: %s", group.who, error)


class Partitions[S]:
    """The reach of :class:`~orchestrator.desks.Desks`, and the hands of a group.

    Args:
        chronicle: where it is noted.
        taken: called with each desk that is now ours.
    """

    def __init__(
        self, group: Group, chronicle: Chronicle, *, taken: Callable[[Desk[S]], None] = lambda _desk: None
    ) -> None:
        self.group = group
        self._chronicle = chronicle
        self._taken = taken
        self._reads: frozenset[int] = frozenset()
        self._desks: Desks[S]

    def reads(self, tenant: str, mission: str) -> bool:
        return part_of(tenant, mission, self.group.partitions) in self._reads

    def leads(self, tenant: str, mission: str) -> bool:
        return self.group.holds(part_of(tenant, mission, self.group.partitions))

    def led(self) -> frozenset[int]:
        """The partitions that are led here at this moment."""
        return frozenset(part for part in range(self.group.partitions) if self.group.holds(part))

    async def prepare(self, parts: frozenset[int]) -> None:
        self._reads |= parts  # before it is loaded: see Desks._load
        await self._desks.load_open(self._among(parts))

    async def take(self, taken: Taken) -> None:
        for desk in self._in(taken.terms):
            self._taken(desk)
            self._desks.touch(desk)
        if taken.before:
            await self._chronicle.note(taken, self.group)

    def lapse(self) -> None:
        """Nothing to do: whoever decides asks :meth:`leads` before."""

    async def resume(self) -> None:
        for desk in self._desks.all():
            self._desks.touch(desk)

    async def give(self, parts: frozenset[int]) -> None:
        await self._desks.finish(self._among(parts))
        # Nothing is awaited in between: a desk that stood there while its messages were not wanted would have a gap,
        # and a command that came in this moment would decide upon it.
        self._reads -= parts
        self._desks.put_away(self._among(parts))

    def _among(self, parts: Iterable[int]) -> Callable[[str, str], bool]:
        wanted = frozenset(parts)
        return lambda tenant, mission: part_of(tenant, mission, self.group.partitions) in wanted

    def _in(self, parts: Iterable[int]) -> list[Desk[S]]:
        among = self._among(parts)
        return [desk for desk in self._desks.all() if among(desk.tenant, desk.mission)]

    async def lead(self, desks: Desks[S], ready: asyncio.Event | None, *beside: Coroutine[Any, Any, None]) -> None:
        """Follow the log and lead, with other work beside it, until cancelled; what is in hand is finished then."""
        self._desks = desks
        try:
            await desks.begin()
        except BaseException:  # cancelled, above all: then none of it begins
            for work in beside:
                work.close()
            raise
        following = asyncio.create_task(desks.follow())
        leading = asyncio.create_task(self.group.run(self, ready))
        others = [asyncio.create_task(work) for work in beside]
        try:
            # Not the first to be done: what is beside it may come to an end, such as what is learned at the start.
            done, _ = await asyncio.wait({following, leading, *others}, return_when=asyncio.FIRST_EXCEPTION)
            for one in done:
                one.result()
        finally:
            # In this order: what is being decided has to be read back before it can be given away.
            for tasks in (others, [leading], [following]):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
