"""From payloads to events on the log: ids derived from their cause, guarded so that one writer wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from events.port import Guard, Log
from schemas.envelope import Event
from schemas.events import Payload, parse
from schemas.events.enveloping import envelop
from schemas.ids import derive
from schemas.subjects import guard_filter

Clock = Callable[[], datetime]


class Recorder:
    """Writes what one role decides.

    Args:
        log: where to.
        source: who writes, for instance ``/orchestrator/host-17``.
        clock: gives the present instant.
    """

    def __init__(self, log: Log, source: str, clock: Clock) -> None:
        self._log = log
        self._source = source
        self._clock = clock

    async def record(
        self,
        tenant: str,
        mission: str,
        payloads: Sequence[Payload],
        *,
        cause: str,
        correlation: str | None,
        seen: Mapping[str, int],
        traceparent: str | None = None,
        written: Callable[[Sequence[tuple[Payload, str]]], None] = lambda _: None,
    ) -> int:
        """Append facts in order. Returns the sequence of the last message.

        Neighbouring facts of one noun go together, compared with the newest message of that noun that the decision
        was based on. What fails with a conflict may have been written in part: the state, folded again, knows.

        Args:
            cause: id of what led to the decision; with a fact's identity it gives the fact's id.
            seen: noun to the sequence of its newest message in this mission.
            written: told of each run of facts, with their ids, once the log has it.

        Raises:
            Conflict: another replica decided first.
            LogUnavailable, DiskFull, PayloadTooLarge: the log cannot take it.
        """
        last, known = 0, dict(seen)
        for noun, run in groupby(payloads, key=lambda payload: payload.TYPE.partition(".")[0]):
            together = list(run)
            facts = [self.event(tenant, mission, p, cause, correlation, traceparent) for p in together]
            guard = Guard(guard_filter(tenant, mission, noun), known.get(noun, 0))
            last = known[noun] = await self._log.append(facts, guard=guard)
            written([(payload, fact.id) for payload, fact in zip(together, facts, strict=True)])
        return last

    def event(
        self,
        tenant: str,
        mission: str,
        payload: Payload,
        cause: str,
        correlation: str | None,
        traceparent: str | None = None,
    ) -> Event:
        """The envelope of one fact.

        Raises:
            InvalidEvent: what was decided could not be read again. Only checked for the few events of missions
                themselves: one that cannot be read would leave a mission standing still.
        """
        event = envelop(
            payload,
            id=derive(cause, payload.TYPE, *payload.identity()),
            source=self._source,
            at=self._clock(),
            tenant=tenant,
            mission=mission,
            cause=cause,
            correlation=correlation,
            traceparent=traceparent,
        )
        if payload.TYPE.startswith("mission."):
            parse(event)
        return event


def filters_for(endings: Iterable[str], *, tenant: str = "*", mission: str = "*") -> tuple[str, ...]:
    """Subjects that end in these patterns, such as ``task.>`` or ``attempt.finished``."""
    return tuple(f"events.{tenant}.{mission}.{ending}" for ending in endings)
