"""The log, as everybody else sees it. Adapters: ``events.jetstream`` (durable), ``events.memory`` (for unit tests)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from events.blobs.port import BlobStore
from schemas.envelope import Event
from schemas.errors import StigmergyError


@dataclass(frozen=True, slots=True)
class Guard:
    """Compare-and-append: the write happens only if ``last`` is still the sequence of the newest message that matches.

    Attributes:
        filter: a subject, wildcards allowed.
        last: expected sequence of the newest matching message; 0 if there must be none.
    """

    filter: str
    last: int


@dataclass(frozen=True, slots=True)
class Write:
    """One message to append: one event, or a frame with several events of one noun of one mission.

    Attributes:
        id: by which a repetition is recognised; the id of the first event if it is left out.
    """

    events: tuple[Event, ...]
    guard: Guard | None = None
    key: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The log has it, durably, at ``sequence``. ``duplicate``: it had it already, from an earlier try."""

    sequence: int
    duplicate: bool = False


Wants = Callable[[str, int], bool]
"""Whether a message is to be decoded, by its subject and sequence. Asked in the order of the log, maybe twice."""


def everything(_subject: str, _sequence: int) -> bool:
    """Wants every message."""
    return True


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of the log. ``last`` is the sequence of the last message they came in."""

    events: tuple[Event, ...]
    last: int


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the log to read. All bounds are inclusive; time is the log's own clock.

    Attributes:
        filters: subjects, wildcards allowed; several must not overlap.
        first: first sequence, from 1.
        last: last sequence, or None for the end as it is when reading begins.
        since: only messages stored at or after this instant.
    """

    filters: tuple[str, ...] = ("events.>",)
    first: int = 1
    last: int | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the log keeps it, not decoded.

    Attributes:
        notes: what readers of one process have made of it, each under a name of its own, so that the next one need not.
    """

    sequence: int
    subject: str
    raw: bytes = field(repr=False)
    notes: dict[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)


class Delivery(Protocol):
    """Events handed to a durable subscription, to be settled once."""

    @property
    def events(self) -> tuple[Event, ...]: ...

    @property
    def attempts(self) -> int:
        """How often it was delivered, this time included."""

    async def ack(self) -> None:
        """Done with: it will not be delivered again."""

    async def retry(self, delay_s: float = 0.0) -> None:
        """Deliver it again after the delay."""

    async def reject(self, error: StigmergyError) -> None:
        """It can never be handled: move it to the dead letters with the reason."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a durable subscription behaves.

    Attributes:
        name: durable name; processes with the same name share the work.
        filters: which subjects.
        ack_wait_s: after this silence a delivery is handed to somebody else; while a handler runs, the adapter says
            "in progress" by itself.
        max_deliver: after so many deliveries the message goes to the dead letters.
        batch: most messages in flight at once.
        start_new: begin with what is appended from now on, instead of with the first message.
    """

    name: str
    filters: tuple[str, ...] = ("events.>",)
    ack_wait_s: float = 10.0
    max_deliver: int = 10
    batch: int = 500
    start_new: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message nobody could handle, with the reason."""

    sequence: int
    subject: str
    reason: str
    code: str
    consumer: str
    original_sequence: int
    raw: bytes = field(repr=False, default=b"")


class Log(Protocol):
    """An append-only, totally ordered log of events. ``blobs`` keeps the payloads that are too large for it."""

    blobs: BlobStore

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        """Append messages in this order, with their acknowledgements pipelined.

        The order may suffer where a connection breaks; a chain of guards keeps it even there.

        Each message is written or not by itself, and each gets its answer: an :class:`Ack`, or
        :class:`~schemas.errors.Conflict` if its guard did not hold, or
        :class:`~schemas.errors.PayloadTooLarge`, or :class:`~schemas.errors.LogUnavailable` after all retries.
        A retry uses the same message id, so nothing is ever stored twice.
        """

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        """Append events, of one noun and mission if there is a guard. Returns the last sequence.

        No events are no message: the guard is not looked at, and its sequence (or 0) comes back.

        Raises:
            Conflict: the guard did not hold; nothing after the conflict was written.
            PayloadTooLarge, DiskFull, LogUnavailable: the log cannot take it.
        """

    def follow(self, window: Window, *, batch: int = 500, wants: Wants = everything) -> AsyncIterator[Batch]:
        """Every event from ``window.first`` on, in order, for ever; waits for new ones at the end.

        Messages that are not wanted are not decoded; a batch says all the same that they were passed.
        What cannot be decoded goes to the dead letters and is passed over.
        """

    def messages(
        self, window: Window, *, batch: int = 500, known: Callable[[int], bool] | None = None
    ) -> AsyncIterator[list[Stored]]:
        """As :meth:`follow`, for readers at volume that decode for themselves. Whoever does so checks what
        :func:`events.codec.decode` checks, and buries what it cannot read.

        Args:
            known: whether the message of a sequence, and all before it, are known already: nobody need be woken up for
                them, they may come with the next ones.
        """

    async def bury(self, stored: Stored, error: StigmergyError) -> None:
        """Keep a message that cannot be read in the dead letters, with the reason; once, however often it is called.

        Raises:
            LogUnavailable, DiskFull: it could not be kept.
        """

    def read(self, window: Window) -> AsyncIterator[Event]:
        """The events of a window, then the end."""

    def subscribe(self, subscription: Subscription) -> AsyncIterator[Delivery]:
        """Events shared among all subscribers of one name, each until it is settled."""

    async def last_sequence(self) -> int:
        """Sequence of the newest message; 0 for an empty log."""

    async def oldest(self) -> tuple[int, datetime | None]:
        """Sequence of the oldest message that is still kept, and when the log took it.

        One more than the last sequence, and None, for a log that keeps none. It only ever grows: retention and
        purging take messages from this end.
        """

    async def newest(self, subject: str) -> int:
        """Sequence of the newest message of a subject, wildcards allowed, readable or not; 0 if there is none."""

    async def missions(self, nouns_verbs: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        """(tenant, mission) to how often each of the single-event types was written, without reading any message."""

    def dead_letters(self) -> AsyncIterator[DeadLetter]:
        """All dead letters, oldest first."""

    async def retry_dead_letter(self, sequence: int) -> int:
        """Put a dead letter's original bytes back on their subject; returns the new sequence."""

    async def close(self) -> None:
        """Flush and let go."""
