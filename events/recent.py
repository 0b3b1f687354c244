"""Which events the log has already: for publishing a file again, in whole or grown, without doubling anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from events.port import Log, Window
from schemas.envelope import Event
from schemas.subjects import noun_filter

_SKEW = timedelta(seconds=60)


class Recent:
    """Ids of the events that the log got lately, and of those that were announced here.

    The log is read once for each noun of a tenant, when its first event is asked for. The server recognises repeated
    messages; only this recognises repeated events, whichever message they came in. Two processes that publish the same
    events at the same time are not told apart here: the second reads before the first has written.

    Args:
        log: where to look.
        seconds: how far back, by the log's clock and a minute more; None for all that the log has. One id takes about
            130 bytes.
        first: the first sequence to look at; the oldest one that there is if left out.
    """

    def __init__(self, log: Log, seconds: float | None = None, *, first: int = 1) -> None:
        self._log, self._first = log, first
        self._since = None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds) - _SKEW
        self._known: dict[tuple[str, str], set[str]] = {}

    async def seen(self, event: Event) -> bool:
        """Whether it is there or was announced before. From now on it is announced.

        Raises:
            LogUnavailable: the log does not answer.
        """
        known = self._known.get(_place(event))
        if known is None:
            found = await self._read(event)
            known = self._known.setdefault(_place(event), found)  # somebody else may have read in the meantime
        if event.id in known:
            return True
        known.add(event.id)
        return False

    def forget(self, event: Event) -> None:
        """It was announced and could not be published."""
        self._known.get(_place(event), set[str]()).discard(event.id)

    async def _read(self, event: Event) -> set[str]:
        tenant, noun = _place(event)
        window = Window((noun_filter(noun, tenant=tenant),), self._first, since=self._since)
        return {found.id async for found in self._log.read(window)}


def _place(event: Event) -> tuple[str, str]:
    return event.tenant, event.type.partition(".")[0]
