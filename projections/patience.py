"""Trying again what fails for a passing reason, and saying so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from schemas.errors import StigmergyError

_log = logging.getLogger(__name__)


async def patiently[T](attempt: Callable[[], Awaitable[T]], every_s: float) -> T:
    """Await until it succeeds; each new complaint is logged once, and so is that it is over.

    Raises:
        StigmergyError: one that is not retryable.
    """
    said = ""
    while True:
        try:
            result = await attempt()
        except StigmergyError as error:
            if not error.retryable:
                raise
            if error.message != said:
                _log.error("%s (%s); trying again every %g s", error.message, error.hint, every_s)
            said = error.message
            await asyncio.sleep(every_s)
        else:
            if said:
                _log.info("it works again")
            return result
