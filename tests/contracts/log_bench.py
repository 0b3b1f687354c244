"""What the contract tests of the log share: events, and short ways to read and follow."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from events.port import DeadLetter, Delivery, Log, Subscription, Window
from schemas.envelope import Event, rfc3339
from schemas.ids import uuid7

TENANT, MISSION = "acme", "m1"
_count = itertools.count()


def event(type_: str = "task.ready", *, mission: str = MISSION, data: bytes = b"{}") -> Event:
    """A fresh event; its subject counts up, so that tests can compare orders."""
    return Event(
        id=uuid7(),
        source="/test",
        type=type_,
        time=rfc3339(datetime.now(UTC)),
        tenant=TENANT,
        mission=mission,
        subject=str(next(_count)),
        data=msgspec.Raw(data),
    )


def payload(size: int) -> bytes:
    return b'{"text":"' + b"x" * (size - 11) + b'"}'


def ids(events: list[Event] | tuple[Event, ...]) -> list[str]:
    return [each.id for each in events]


@dataclass(frozen=True)
class Bench:
    """A log, and what any other client of the same bus could do to it."""

    log: Log
    publish: Callable[[str, bytes], Awaitable[None]]
    message_sizes: Callable[[], Awaitable[int]]


async def read(log: Log, window: Window | None = None) -> list[Event]:
    return [each async for each in log.read(window or Window())]


async def follow(log: Log, window: Window, many: int, batch: int = 500) -> list[Event]:
    """The first ``many`` events that a follower sees."""
    seen: list[Event] = []
    async with aclosing(log.follow(window, batch=batch)) as batches:  # type: ignore[type-var]
        async for each in batches:
            seen.extend(each.events)
            if len(seen) >= many:
                return seen
    raise AssertionError("a follower never ends")


async def take(deliveries: AsyncIterator[Delivery]) -> Delivery:
    return await anext(deliveries)


async def letters(log: Log) -> list[DeadLetter]:
    return [letter async for letter in log.dead_letters()]


def subscribe(
    log: Log, name: str, **settings: object
) -> contextlib.AbstractAsyncContextManager[AsyncIterator[Delivery]]:
    subscription = msgspec.convert({"name": name, **settings}, Subscription)
    return aclosing(log.subscribe(subscription))  # type: ignore[type-var]
