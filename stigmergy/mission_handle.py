"""One mission in the hands of a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Literal

from events.jetstream.reader import patiently
from events.port import Window
from orchestrator.core.mission import MissionStatus
from schemas.budgets import budget_of
from schemas.commands import AnswerTask, CancelMission, PauseMission, ResumeMission, RetryMission
from schemas.envelope import Event
from schemas.errors import TimedOut
from schemas.ids import process_name, uuid7
from schemas.subjects import mission_filter, noun_filter
from stigmergy.ballots import MissionBallots
from stigmergy.missions import MissionFold, MissionView, no_mission, read_mission
from stigmergy.reading_along import ReadingAlong

if TYPE_CHECKING:
    from stigmergy.client import Client

_SETTLE_S = 2.0
"""How long to wait for the last words about the tasks of a mission that has ended."""


class MissionHandle:
    """One mission, from outside.

    ``busy``: how many tasks of the tenant were open when it was submitted, if that is more than the system likes, else
    0: slow down.
    """

    def __init__(self, client: Client, mission: str, *, busy: int = 0) -> None:
        self._client = client
        self.id = mission
        self.busy = busy

    async def view(self) -> MissionView:
        """The mission as it is now. Raises :class:`InvalidInput` if there is none of this id."""
        return await read_mission(self._client.bus.log, self._tenant, self.id)

    def events(self, *, follow: bool = True) -> AsyncGenerator[Event]:
        """The mission's events from the first on; with ``follow`` the iteration does not end by itself."""
        return self._client.events([mission_filter(self._tenant, self.id)], first=1, follow=follow)

    async def outcome(self, *, timeout_s: float | None = None) -> MissionView:
        """Wait until the mission has ended, whichever way.

        Only the few events of the mission itself are followed; the rest is read in pieces meanwhile.

        Raises:
            InvalidInput: there is no such mission.
            TimedOut: it has not ended yet.
        """
        fold = MissionFold(self._tenant, self.id)
        whole = ReadingAlong(self._client.bus.log, self._tenant, self.id)
        try:
            async with asyncio.timeout(timeout_s), whole:
                await self._follow_to_end(fold)
        except TimeoutError:
            raise TimedOut(
                f"mission {self.id} has not ended within {timeout_s:g} s; it is {_standing(fold)}",
                hint=f"it goes on: stig mission show {self.id}",
            ) from None
        return await (self._settled() if fold.state.status is MissionStatus.CANCELLED else whole.view())

    async def _follow_to_end(self, fold: MissionFold) -> None:
        log, own = self._client.bus.log, noun_filter("mission", tenant=self._tenant, mission=self.id)
        newest = await patiently(self._client.bus.nc, lambda: log.newest(own))
        if not newest:
            raise await no_mission(log, self.id)
        async with aclosing(log.follow(Window((own,)))) as batches:
            async for batch in batches:
                for event in batch.events:
                    fold.add(event)
                if batch.last >= newest and fold.state.status.ended:
                    return  # not before: an end may have been followed by a retry

    async def _settled(self) -> MissionView:
        """A cancelled mission once its tasks have ended too, which is a moment later."""
        fold = MissionFold(self._tenant, self.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S), aclosing(self.events()) as events:
                async for event in events:
                    fold.add(event)
                    if fold.settled:
                        break
        return fold.view()

    async def pause(self, reason: str = "") -> None:
        """Let what runs end, start nothing new."""
        await self._client.command(PauseMission(**self._address(), reason=reason))

    async def resume(self, *, budget: Mapping[str, float] | None = None) -> None:
        """Go on after a pause; with ``budget``, within these limits from now on.

        Raises:
            InvalidInput: there is no such budget.
            Refused: what may be spent was spent, or the mission has ended, or runs and has a budget given.
        """
        await self._client.command(ResumeMission(**self._address(), budget=budget_of(budget or {})))

    async def cancel(self, reason: str = "") -> None:
        """Stop what runs, and end the mission."""
        await self._client.command(CancelMission(**self._address(), reason=reason))

    async def retry(self, *tasks: str) -> None:
        """Give the failed tasks of a failed mission new attempts."""
        await self._client.command(RetryMission(**self._address(), tasks=tasks))

    async def answer(self, task: str, *, retry: bool = True, advice: str = "") -> None:
        """Say what to do about a task that waits for a person. Raises :class:`Refused` if it does not."""
        decision: Literal["retry", "fail"] = "retry" if retry else "fail"
        await self._client.command(AnswerTask(**self._address(), task=task, decision=decision, advice=advice))

    @property
    def ballots(self) -> MissionBallots:
        """Its decisions by vote: look at them, open them, vote."""
        return MissionBallots(self._client, self.id)

    @property
    def _tenant(self) -> str:
        return self._client.settings.tenant

    def _address(self) -> dict[str, Any]:
        return {"id": uuid7(), "tenant": self._tenant, "mission": self.id, "by": process_name()}


def _standing(fold: MissionFold) -> str:
    status, reason = fold.state.status.value, fold.state.reason
    return f"{status}, {reason}" if reason else status
