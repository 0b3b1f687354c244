"""The partitions of missions that this replica leads: what is within its reach, and what changes with them.

Partitions save work; that decisions are right does not depend on them (:mod:`events.leadership.group`). Roads not
taken: a consumer for each partition needs the partition in the subject, which is for ever; handing a command on to the
replica that leads its mission makes the answer depend on two processes: whoever takes it from the queue folds the
mission for a moment and decides, and the guard does the rest (:meth:`orchestrator.desks.Desks.visiting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from events.leadership.group import Group, Taken
from orchestrator.desk import Desk
from orchestrator.desks import Desks
from schemas.leaders import part_of

type Told = Callable[[Taken, Group], Awaitable[None]]


async def _nobody(_taken: Taken, _group: Group) -> None:
    """Whoever does not want to be told."""


class Partitions[S]:
    """The reach of :class:`~orchestrator.desks.Desks`, and the hands of a group.

    Args:
        told: called when partitions have come from another member.
        taken: called with each desk that is now ours.
    """

    def __init__(
        self, group: Group, *, told: Told = _nobody, taken: Callable[[Desk[S]], None] = lambda _desk: None
    ) -> None:
        self.group = group
        self._told = told
        self._taken = taken
        self._reads: frozenset[int] = frozenset()
        self._desks: Desks[S]

    def reads(self, tenant: str, mission: str) -> bool:
        return part_of(tenant, mission, self.group.partitions) in self._reads

    def leads(self, tenant: str, mission: str) -> bool:
        return self.group.holds(part_of(tenant, mission, self.group.partitions))

    async def prepare(self, parts: frozenset[int]) -> None:
        self._reads |= parts  # before it is loaded: see Desks._load
        await self._desks.load_open(self._among(parts))

    async def take(self, taken: Taken) -> None:
        for desk in self._in(taken.terms):
            self._taken(desk)
            self._desks.touch(desk)
        if taken.before:
            await self._told(taken, self.group)

    def lapse(self) -> None:
        """Nothing to do: whoever decides asks :meth:`leads` before."""

    async def resume(self) -> None:
        for desk in self._desks.all():
            self._desks.touch(desk)

    async def give(self, parts: frozenset[int]) -> None:
        self._reads -= parts
        await self._desks.put_away(self._among(parts))

    def _among(self, parts: Iterable[int]) -> Callable[[str, str], bool]:
        wanted = frozenset(parts)
        return lambda tenant, mission: part_of(tenant, mission, self.group.partitions) in wanted

    def _in(self, parts: Iterable[int]) -> list[Desk[S]]:
        among = self._among(parts)
        return [desk for desk in self._desks.all() if among(desk.tenant, desk.mission)]

    async def lead(self, desks: Desks[S], ready: asyncio.Event | None, *beside: Coroutine[Any, Any, None]) -> None:
        """Follow the log and lead, with other work beside it, until cancelled; what is in hand is finished then."""
        self._desks = desks
        await desks.begin()
        following = asyncio.create_task(desks.follow())
        leading = asyncio.create_task(self.group.run(self, ready))
        others = [asyncio.create_task(work) for work in beside]
        try:
            done, _ = await asyncio.wait({following, leading, *others}, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            # In this order: what is being decided has to be read back before it can be given away.
            for tasks in (others, [leading], [following]):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
