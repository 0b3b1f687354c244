"""Submitting a mission to a system that may be busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from schemas.commands import CommandReply, SubmitMission
from schemas.errors import Busy
from schemas.ids import uuid7

_FIRST_S, _MOST_S = 0.5, 5.0


async def submitted(
    send: Callable[..., Coroutine[Any, Any, CommandReply]], command: SubmitMission, timeout_s: float, wait_s: float
) -> CommandReply:
    """Send it, again and again while the system is busy, for ``wait_s`` seconds at most.

    Raises:
        Busy: it still is.
        Refused, InvalidWorkflow, TimedOut: as :meth:`stigmergy.Client.command`.
    """
    deadline, pause = time.monotonic() + wait_s, _FIRST_S
    while True:
        try:
            return await send(command, timeout_s=timeout_s)
        except Busy:
            if time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, _MOST_S)
        command = command.model_copy(update={"id": uuid7()})  # the log would take the same id for the same wish
