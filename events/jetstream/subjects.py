"""Which subjects a stream holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from nats.aio.client import Client

from events.jetstream.api import call, soon


async def subjects_in(nc: Client, stream: str, pattern: str) -> AsyncIterator[tuple[str, int]]:
    """Subjects that match a pattern, and how many messages each has. The server tells some 100,000 at a time.

    Raises:
        LogUnavailable: the server does not answer, or there is no such stream.
    """
    offset = 0

    async def ask(each_s: float) -> dict[str, Any]:
        request = {"subjects_filter": pattern, "offset": offset}
        return await call(nc, f"STREAM.INFO.{stream}", request, timeout_s=each_s)

    while True:
        answer = await soon(nc, ask)
        subjects = answer["state"].get("subjects") or {}
        for subject, count in subjects.items():
            yield subject, count
        offset += len(subjects)
        if not subjects or offset >= answer.get("total", 0):
            return
