"""A worker's word: events from its threads to the log, claims included."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from events.port import Ack, Guard, Write
from schemas.attempts import AttemptOrder
from schemas.envelope import Event
from schemas.errors import Conflict, StigmergyError
from schemas.events import Payload, parse
from schemas.events.agent import AgentRemembered
from schemas.events.attempt import AttemptStarted
from schemas.events.enveloping import envelop
from schemas.ids import uuid7
from schemas.subjects import noun_filter, of_event
from workers.scratchpad import apply_note


class Bus(Protocol):
    """The log, for callers in ordinary threads. Every call has a deadline."""

    def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        """Append and wait for the acknowledgements."""

    def append(self, events: Sequence[Event]) -> None:
        """Append events and wait; raises what the log refuses."""

    def post(self, event: Event, *, hurry: bool = False) -> None:
        """Append an event soon, in order with everything else, without waiting; at once if there is a hurry."""

    def read(self, filters: tuple[str, ...]) -> list[Event]:
        """All events of these subjects so far."""


class Reporter:
    """Turns what happens in a worker into events."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self.worker = worker
        self._source = f"/worker/{worker}"

    def claim(self, orders: Sequence[AttemptOrder], agent: str) -> list[bool]:
        """Claim attempts; True where this worker may make it.

        The log takes one ``attempt.started`` for each attempt: the claim is an append that expects none before it, with
        a fresh id, because a repeated id would be acknowledged even to a loser.
        """
        results = self._bus.write([self._claim(order, agent) for order in orders])
        claimed = []
        for result in results:
            if isinstance(result, StigmergyError) and not isinstance(result, Conflict):
                raise result
            claimed.append(isinstance(result, Ack))
        return claimed

    def _claim(self, order: AttemptOrder, agent: str) -> Write:
        payload = self.started(order, agent)
        event = self.event(order, payload)
        return Write((event,), Guard(of_event(event, payload.key()), 0), payload.key())

    def started(self, order: AttemptOrder, agent: str) -> AttemptStarted:
        """That this worker has the attempt."""
        return AttemptStarted(
            task=order.task,
            attempt=order.attempt,
            worker=self.worker,
            agent=agent,
            skill=order.skill,
            waited_s=_waited_s(order),
        )

    def emit(self, order: AttemptOrder, payload: Payload, *, hurry: bool = False) -> None:
        """Record a step on the way; it arrives in order, but nobody here waits for it."""
        self._bus.post(self.event(order, payload), hurry=hurry)

    def report(self, endings: Sequence[tuple[AttemptOrder, Payload]]) -> None:
        """Record how attempts ended, and wait until the log has it."""
        self._bus.append([self.event(order, payload) for order, payload in endings])

    def announce(self, payload: Payload, tenant: str) -> None:
        """Record something about the worker itself."""
        event = envelop(payload, id=uuid7(), source=self._source, at=datetime.now(UTC), tenant=tenant)
        self._bus.append([event])

    def record(self, payload: Payload, tenant: str, mission: str) -> None:
        """Record something about a mission that no order of this worker's is about, and wait until the log has it."""
        self._bus.append([self._of_mission(payload, tenant, mission)])

    def mention(self, payload: Payload, tenant: str, mission: str) -> None:
        """The same, without waiting."""
        self._bus.post(self._of_mission(payload, tenant, mission))

    def _of_mission(self, payload: Payload, tenant: str, mission: str) -> Event:
        at = datetime.now(UTC)
        return envelop(payload, id=uuid7(), source=self._source, at=at, tenant=tenant, mission=mission)

    def notes_of(self, order: AttemptOrder) -> dict[str, Any]:
        """The scratchpad that earlier attempts at the task left."""
        notes: dict[str, Any] = {}
        for event in self._bus.read((noun_filter("agent", tenant=order.tenant, mission=order.mission),)):
            if event.type == AgentRemembered.TYPE and event.subject == order.task:
                payload = parse(event)
                if isinstance(payload, AgentRemembered):
                    apply_note(notes, payload)
        return notes

    def event(self, order: AttemptOrder, payload: Payload) -> Event:
        """The envelope of something that belongs to an attempt."""
        return envelop(
            payload,
            id=uuid7(),
            source=self._source,
            at=datetime.now(UTC),
            tenant=order.tenant,
            mission=order.mission,
            cause=order.cause or None,
            correlation=order.correlation,
            traceparent=order.traceparent,
        )


def _waited_s(order: AttemptOrder) -> float | None:
    """Seconds since its dispatch, by the clocks of two machines: never below 0; None if nobody knows."""
    if order.dispatched_at is None:
        return None
    return max(0.0, (datetime.now(UTC) - order.dispatched_at).total_seconds())
