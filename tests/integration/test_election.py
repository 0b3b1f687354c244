"""Two contenders for one seat: one holds it, the other follows at once when it is given up, and soon when it dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.jetstream import connect
from events.jetstream.election import LEASE_S, Election

ROOT = Path(__file__).resolve().parents[2]
_FAILOVER_S = 5.0
_SLACK_S = 3.0
_CONTENDER = """
import asyncio, sys
from events.jetstream import connect
from events.jetstream.election import Election

async def work(term):
    print(term, flush=True)
    await asyncio.Event().wait()

async def main():
    nc = await connect(sys.argv[1], name="contender")
    await Election(nc, "test", "other process").run(work)

asyncio.run(main())
"""


class Seat:
    """Who holds it, by turns."""

    def __init__(self) -> None:
        self.terms: list[tuple[str, int]] = []
        self.holders: set[str] = set()
        self.both = False
        self.changed = asyncio.Event()

    def contender(self, nc: Client, who: str) -> asyncio.Task[None]:
        async def work(term: int) -> None:
            self.terms.append((who, term))
            self.both = self.both or bool(self.holders)
            self.holders.add(who)
            self.changed.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.holders.discard(who)

        return asyncio.create_task(Election(nc, "test", who).run(work))

    async def taken(self, terms: int) -> None:
        async with asyncio.timeout(20):
            while len(self.terms) < terms:
                self.changed.clear()
                await self.changed.wait()


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_holds_the_seat_and_hands_it_on_when_it_leaves(nats: Client, nats_url: str) -> None:
    seat, other = Seat(), await connect(nats_url, name="other")
    first = seat.contender(nats, "a")
    await seat.taken(1)
    second = seat.contender(other, "b")
    await asyncio.sleep(LEASE_S + 0.5)
    assert [who for who, _ in seat.terms] == ["a"]  # renewed, not expired
    began = time.monotonic()
    await end(first)
    await seat.taken(2)
    assert time.monotonic() - began < LEASE_S  # given up, not waited for
    (_, old), (who, new) = seat.terms
    assert who == "b"
    assert new > old
    assert not seat.both
    await end(second)
    await other.close()


async def test_who_is_killed_is_followed_soon(nats: Client, nats_url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _CONTENDER, nats_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    old = int(await asyncio.to_thread(process.stdout.readline))
    seat = Seat()
    task = seat.contender(nats, "b")
    await asyncio.sleep(0.5)
    assert not seat.terms
    process.kill()
    process.wait()
    process.stdout.close()
    began = time.monotonic()
    await seat.taken(1)
    assert time.monotonic() - began < _FAILOVER_S + _SLACK_S
    assert seat.terms[0][1] > old
    await end(task)


async def test_who_is_cut_off_stops_before_another_begins(nats: Client, nats_url: str) -> None:
    seat, cut = Seat(), await connect(nats_url, name="cut")
    first = seat.contender(cut, "a")
    await seat.taken(1)
    second = seat.contender(nats, "b")

    async def swallow(*_: object, **__: object) -> None:
        raise TimeoutError

    cut.request = swallow  # type: ignore[method-assign, assignment]
    await seat.taken(2)
    assert [who for who, _ in seat.terms] == ["a", "b"]
    assert not seat.both
    await end(first)
    await end(second)
    await cut.close()


async def test_work_that_fails_gives_up_the_seat(nats: Client) -> None:
    async def work(_term: int) -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await Election(nats, "test", "a").run(work)
    seat = Seat()
    began = time.monotonic()
    task = seat.contender(nats, "b")
    await seat.taken(1)
    assert time.monotonic() - began < LEASE_S
    await end(task)
