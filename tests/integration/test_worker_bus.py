"""The bus of a worker on a real server: what travels together, and what waits for what."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from nats.aio.client import Client

from events.blobs.port import BlobMissing
from events.codec import PAYLOAD_LIMIT
from events.jetstream import JetStreamLog
from events.port import Window
from schemas.envelope import Event
from schemas.errors import LogUnavailable, PayloadTooLarge
from schemas.ids import uuid7
from workers import bus as buses
from workers.bus import WorkerBus


@pytest.fixture
def bus(nats: Client, nats_url: str) -> Iterator[WorkerBus]:
    """A bus on empty streams."""
    made = WorkerBus(nats_url, "test")
    yield made
    made.close()


def event(kind: str, data: bytes = b"{}") -> Event:
    at = datetime.now(UTC).isoformat()
    return Event(id=uuid7(), source="/t", type=kind, time=at, tenant="t", mission="m", data=msgspec.Raw(data))


async def stored(nats: Client) -> list[list[str]]:
    """The types of the events of each message."""
    log = await JetStreamLog.open(nats)
    messages: dict[int, list[str]] = {}
    async for each in log.read(Window()):
        messages.setdefault(each.sequence, []).append(each.type)
    return list(messages.values())


async def test_a_report_takes_along_what_was_said_of_the_same_thing_before(nats: Client, bus: WorkerBus) -> None:
    bus.post(event("attempt.started"))
    bus.append([event("attempt.finished")])
    bus.append([event("attempt.finished")])
    assert await stored(nats) == [["attempt.started", "attempt.finished"], ["attempt.finished"]]


async def test_what_was_said_of_other_things_is_there_before_the_report(nats: Client, bus: WorkerBus) -> None:
    for kind in ("attempt.started", "agent.acted", "attempt.progressed"):
        bus.post(event(kind))
    bus.append([event("attempt.finished")])
    assert await stored(nats) == [["attempt.started"], ["agent.acted"], ["attempt.progressed"], ["attempt.finished"]]


async def test_what_is_refused_of_a_report_takes_nothing_with_it(nats: Client, bus: WorkerBus) -> None:
    bus.post(event("attempt.started"))
    with pytest.raises(PayloadTooLarge):
        bus.append([event("attempt.finished", b'"' + b"x" * PAYLOAD_LIMIT + b'"')])
    assert await stored(nats) == [["attempt.started"]]


@pytest.mark.parametrize("hurry", [True, False])
async def test_a_step_is_written_soon_and_at_once_if_there_is_a_hurry(
    nats: Client, bus: WorkerBus, monkeypatch: pytest.MonkeyPatch, hurry: bool
) -> None:
    monkeypatch.setattr(buses, "_LINGER_S", 0.5)
    bus.post(event("agent.acted"), hurry=hurry)
    time.sleep(0.2)
    assert bool(await stored(nats)) is hurry
    time.sleep(0.5)
    assert await stored(nats) == [["agent.acted"]]


async def test_nobody_waits_for_a_step_that_has_been_written(
    nats: Client, bus: WorkerBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buses, "_LINGER_S", 30.0)
    bus.post(event("agent.acted"))
    bus.append([event("attempt.finished")])
    begun = time.monotonic()
    assert bus.read(("events.t.m.>",))
    assert time.monotonic() - begun < 10.0


async def test_what_takes_longer_than_its_thread_waits_is_given_up(
    bus: WorkerBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buses, "_DEADLINE_S", 0.2)
    given_up = threading.Event()

    async def never(_data: bytes) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up.set()
            raise
        return ""

    monkeypatch.setattr(bus._log.blobs, "put", never)
    with pytest.raises(LogUnavailable, match="did not answer"):
        bus.put_blob(b"x")
    assert given_up.wait(2.0)


async def test_what_goes_wrong_in_the_thread_of_the_bus_is_raised_in_the_one_that_asked(bus: WorkerBus) -> None:
    with pytest.raises(BlobMissing):
        bus.get_blob("0" * 64)
