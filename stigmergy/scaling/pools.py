"""Pools of this machine that a scaler starts, resizes and ends."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from events.signals import Signals
from schemas.ids import uuid7
from schemas.signals import PoolCall, pool_subject
from stigmergy.cli.processes import pool_process
from stigmergy.settings import Settings

_log = logging.getLogger(__name__)


class LocalPools:
    """One pool of processes for each skill, started by this process and ended with it."""

    def __init__(self, signals: Signals, settings: Settings) -> None:
        self._signals = signals
        self._settings = settings
        self._pools: dict[str, tuple[str, asyncio.subprocess.Process, int]] = {}
        self._ending: set[asyncio.subprocess.Process] = set()

    def have(self) -> dict[str, int]:
        for skill, (_, process, _size) in list(self._pools.items()):
            if process.returncode is not None:
                _log.warning("the pool for %s has ended by itself (exit %s)", skill, process.returncode)
                del self._pools[skill]
        return {skill: size for skill, (_, _, size) in self._pools.items()}

    async def resize(self, skill: str, size: int) -> None:
        if skill not in self._pools:
            name = f"scaled-{skill}-{uuid7()[-8:]}"[:100]
            argv, env = pool_process(self._settings, skill, size, name)
            process = await asyncio.create_subprocess_exec(*argv, env=env, start_new_session=True)
            self._pools[skill] = (name, process, size)
            return
        name, process, _ = self._pools[skill]
        if size == 0:
            del self._pools[skill]
            self._ending = {one for one in self._ending if one.returncode is None} | {process}
            if process.returncode is None:
                process.terminate()
            return
        self._pools[skill] = (name, process, size)
        # Losing it is mended by saying it again: see :meth:`remind`.
        await self.remind()

    async def remind(self) -> None:
        """Tell every pool its size; one that starts has not heard it the first time."""
        for name, _, size in self._pools.values():
            call = PoolCall(name=name, size=size)
            await self._signals.send(pool_subject(self._settings.tenant), msgspec.json.encode(call))

    async def close(self) -> None:
        for skill in list(self._pools):
            await self.resize(skill, 0)
        await asyncio.gather(*(process.wait() for process in self._ending))
