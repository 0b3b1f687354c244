"""Reading a mission while it runs, a piece at a time, so that little is left to read when it ends."""

from __future__ import annotations

import asyncio

from events.port import Log
from schemas.errors import StigmergyError
from stigmergy.missions import MissionFold, MissionView, read_on, read_whole

_FIRST_S = 0.2
_SELDOM_S = 5.0
_SHARE = 5
"""Between two pieces passes this many times what the last one took."""


class ReadingAlong:
    """Reads the events of one mission now and then. To follow them all would wake a waiting client for each; to read
    them all at the end would let it wait for seconds after a large mission.

    An asynchronous context manager: it reads on until it is left. :meth:`view` reads the rest.
    """

    def __init__(self, log: Log, tenant: str, mission: str) -> None:
        self._log = log
        self._tenant = tenant
        self._mission = mission
        self._fold = MissionFold(tenant, mission)
        self._done = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ReadingAlong:
        self._reading = asyncio.create_task(self._read_along())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done.set()
        if self._reading is not None:
            await self._reading  # a piece is short, and half of one would be no use

    async def view(self) -> MissionView:
        """The mission as it is now.

        Raises:
            InvalidInput: there is none of this id, or no longer.
            LogUnavailable: the log cannot be read.
        """
        return await read_whole(self._log, self._fold)

    async def _read_along(self) -> None:
        pause, clock = _FIRST_S, asyncio.get_running_loop().time
        while not await self._over(pause):
            begun, before = clock(), self._fold.sequence
            try:
                await read_on(self._log, self._fold)
            except StigmergyError:
                self._fold = MissionFold(
                    self._tenant, self._mission
                )  # the last reading says what is wrong, if it still is
                pause = _SELDOM_S
                continue
            news = self._fold.sequence > before
            pause = min(_SELDOM_S, max(_FIRST_S if news else 2 * pause, _SHARE * (clock() - begun)))

    async def _over(self, pause: float) -> bool:
        try:
            async with asyncio.timeout(pause):
                return await self._done.wait()
        except TimeoutError:
            return False
