"""Nobody who works is called lost, however busy; a death is noticed at once, a frozen worker within the lease."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from schemas.signals import HEARTBEATS, Heartbeat
from stigmergy import Client, MissionHandle
from stigmergy.local.leash import leashed
from tests.acceptance.missions import data, history, of, one, task, until
from tests.acceptance.stack import LEASE_S, Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-kills")
HOGGING = str(Path(__file__).with_name("hogging.py"))
_BURN = "while True: pass"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("beats"), imports=(HOGGING,)) as stack:
        yield stack


@pytest.fixture
def stack(fleet: Stack) -> Stack:
    fleet.mend()
    return fleet


@contextmanager
def busy_machine(processes: int) -> Iterator[None]:
    """So many processes that compute for the time of the block."""
    with ExitStack() as ending:
        for _ in range(processes):
            burning = subprocess.Popen(leashed((sys.executable, "-c", _BURN)))
            ending.callback(burning.wait)
            ending.callback(burning.kill)
        yield


class Beats:
    """The heartbeats that are sent, and when each worker was heard."""

    def __init__(self) -> None:
        self.heard: dict[str, list[float]] = {}
        self.vouched = 0

    def hear(self, raw: bytes) -> None:
        beat = msgspec.json.decode(raw, type=Heartbeat)
        self.heard.setdefault(beat.worker, []).append(time.monotonic())
        self.vouched += beat.vouched

    def longest_gap_s(self, worker: str) -> float:
        at = self.heard[worker]
        return max(later - earlier for earlier, later in pairwise(at))


async def listening(client: Client) -> Beats:
    beats = Beats()
    await client.bus.signals.listen(HEARTBEATS, beats.hear)
    return beats


async def expired(mission: MissionHandle) -> list[str]:
    return [data(event)["failure"]["message"] for event in await history(mission) if of("action.expired")(event)]


async def lost_workers(client: Client, since: int) -> list[str]:
    from events.port import Window
    from schemas.subjects import noun_filter

    window = Window((noun_filter("fleet", tenant=client.settings.tenant),), first=since + 1)
    return [data(event)["worker"] async for event in client.bus.log.read(window)]


@pytest.mark.parametrize("load", [0, 8])
async def test_a_worker_that_cannot_speak_for_long_is_not_called_lost(stack: Stack, load: int) -> None:
    async with Client(stack.settings) as client:
        before = await client.bus.log.last_sequence()
        beats = await listening(client)
        with busy_machine(load):
            mission = await client.submit("hold the interpreter", plan=one("hog", seconds=3 * LEASE_S))
            outcome = await mission.outcome(timeout_s=90)
        assert outcome.status == "completed", outcome.failure
        assert task(await mission.view()).output["held_s"] >= 3 * LEASE_S
        assert await expired(mission) == []
        assert await lost_workers(client, before) == []
        assert beats.vouched >= 3
        [started] = [data(event)["worker"] for event in await history(mission) if of("attempt.started")(event)]
        print(f"load {load}: the longest gap between heartbeats was {beats.longest_gap_s(started):.2f} s")


async def test_a_death_is_noticed_at_once(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await client.submit("die", plan=one("echo", sleep_s=2.0, attempts=2))
        begun = await until(mission, of("attempt.started"))
        os.kill(_pid(data(begun)["worker"]), signal.SIGKILL)
        killed = time.monotonic()
        lost = await until(mission, of("action.expired"))
        detected_s = time.monotonic() - killed
        assert (await mission.outcome(timeout_s=60)).status == "completed"
        assert data(lost)["failure"]["code"] == "worker_lost"
        assert "has ended without a goodbye" in data(lost)["failure"]["message"]
        print(f"noticed after {detected_s:.2f} s")


async def test_a_frozen_worker_has_no_advocate(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await client.submit("freeze", plan=one("echo", sleep_s=2.0, attempts=2))
        begun = await until(mission, of("attempt.started"))
        pid = _pid(data(begun)["worker"])
        os.kill(pid, signal.SIGSTOP)
        try:
            lost = await until(mission, of("action.expired"))
            assert "fell silent" in data(lost)["failure"]["message"]
            assert (await mission.outcome(timeout_s=60)).status == "completed"
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_who_holds_the_interpreter_beyond_its_time_is_ended(stack: Stack) -> None:
    async with Client(stack.settings) as client:
        mission = await client.submit("hang", plan=one("hog", seconds=60.0, timeout_s=1.0))
        begun = await until(mission, of("attempt.started"))
        pid = _pid(data(begun)["worker"])
        assert (await mission.outcome(timeout_s=60)).status == "failed"
        async with asyncio.timeout(30):
            while _is_there(pid):
                await asyncio.sleep(0.05)  # nothing tells when a foreign process has ended


async def test_a_worker_without_a_witness_speaks_for_itself(stack: Stack) -> None:
    for process in _witnesses(stack):
        os.kill(process, signal.SIGKILL)
    async with Client(stack.settings) as client:
        mission = await client.submit("alone", plan=one("echo", sleep_s=LEASE_S + 0.5))
        assert (await mission.outcome(timeout_s=60)).status == "completed"
        assert await expired(mission) == []


def _witnesses(stack: Stack) -> list[int]:
    found = []
    for pid in stack["pool"].alive():
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        found += [pid] if b"workers.witness" in command else []
    return found


def _pid(worker: str) -> int:
    """The process of a worker; it is part of its name."""
    return int(worker.split("-")[-2])


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
