"""A seat between processes: who is killed is followed soon, and who is stopped and woken does no harm."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.leadership.group import Taken
from events.leadership.jetstream import JetStreamKeys
from events.leadership.seat import Seat
from events.leadership.session import LEASE_S

ROOT = Path(__file__).resolve().parents[2]
_FAILOVER_S = 5.0
_SLACK_S = 3.0
_CONTENDER = """
import asyncio, sys
from events.jetstream import connect
from events.leadership.jetstream import JetStreamKeys
from events.leadership.seat import Seat
from events.leadership.session import LEASE_S

async def work(taken):
    print(taken.terms[0], flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("stopped", flush=True)

async def main():
    nc = await connect(sys.argv[1], name="contender")
    await Seat(JetStreamKeys(nc), "test", "other").run(work)

asyncio.run(main())
"""


class Contender:
    """Another process that stands for the seat."""

    def __init__(self, nats_url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTENDER, nats_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    async def says(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return (await asyncio.to_thread(self.process.stdout.readline)).strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
async def holder(nats: Client, nats_url: str) -> AsyncIterator[tuple[Contender, int]]:
    """Another process that has the seat, and its term."""
    contender = Contender(nats_url)
    try:
        yield contender, int(await contender.says())
    finally:
        contender.end()


class Waiting:
    """We stand for the seat as well."""

    def __init__(self, nc: Client) -> None:
        self.taken: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(Seat(JetStreamKeys(nc), "test", "we").run(self._work))

    async def _work(self, taken: Taken) -> None:
        self.taken.set_result(taken)
        await asyncio.Event().wait()

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_who_is_killed_is_followed_soon(nats: Client, holder: tuple[Contender, int]) -> None:
    contender, old = holder
    waiting = Waiting(nats)
    await asyncio.sleep(0.5)
    assert not waiting.taken.done()
    contender.process.kill()
    began = time.monotonic()
    async with asyncio.timeout(20):
        taken = await waiting.taken
    took_s = time.monotonic() - began
    print(f"followed after {took_s:.2f} s")
    assert took_s < _FAILOVER_S + _SLACK_S
    assert taken.terms[0] > old
    assert taken.before == ("other",)
    assert "fell silent" in taken.why
    await waiting.end()


async def test_who_comes_after_a_process_of_this_machine_that_has_ended_need_not_wait(
    nats: Client, holder: tuple[Contender, int]
) -> None:
    contender, _ = holder
    contender.end()
    waiting = Waiting(nats)
    async with asyncio.timeout(20):
        taken = await waiting.taken
    assert taken.why == "the process of other has ended"
    await waiting.end()
    contender.process.stdout = open(os.devnull)  # noqa: SIM115 - closed by the fixture


async def test_who_is_stopped_for_longer_than_its_lease_has_lost_the_seat_when_it_wakes(
    nats: Client, holder: tuple[Contender, int]
) -> None:
    contender, _ = holder
    waiting = Waiting(nats)
    await asyncio.sleep(0.5)
    contender.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(4 * LEASE_S):
        await waiting.taken
    contender.process.send_signal(signal.SIGCONT)
    assert await contender.says() == "stopped"
    await waiting.end()
    assert int(await contender.says()) > 0  # it has joined again, and it is its turn
