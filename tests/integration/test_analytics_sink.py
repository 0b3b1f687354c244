"""The analytics follow a real log into real engines: nothing lost, nothing doubled, whatever dies or fills up."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from events.jetstream import JetStreamLog
from tests.integration.analytics_bench import Sink, asked, database, judged, needs_chdb, server, sink, team

needs_chdb()

pytestmark = pytest.mark.xdist_group("analytics")


async def _written(log: JetStreamLog, chance: random.Random, seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await log.append(team(chance, 150))


async def _killed_again_and_again(log: JetStreamLog, nats_url: str, engine: str, times: int) -> None:
    chance = random.Random(11)
    for _ in range(times):
        async with sink(nats_url, engine) as running:
            said = await running.line()
            assert said
            await _written(log, chance, chance.uniform(0.02, 0.3))
    async with sink(nats_url, engine) as running:
        await running.until(await log.last_sequence())


async def test_killed_again_and_again_over_chdb(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    await _killed_again_and_again(log, nats_url, str(tmp_path / "analytics"), 3)
    async with server(tmp_path / "analytics") as url:
        assert await judged(url, log) > 600
        where = await database(url)
        [(parts,)] = await asked(url, f"SELECT uniqExact(partition) FROM system.parts WHERE database = '{where}'")
        assert parts >= 2  # an insert over several partitions is not atomic: the case that is easily lost


async def test_killed_again_and_again_over_http(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    async with server(tmp_path / "data") as url:
        await _killed_again_and_again(log, nats_url, url, 3)
        assert await judged(url, log) > 600


async def test_a_server_that_is_away_is_waited_for(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(server(tmp_path / "data"))
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with sink(nats_url, url) as running:
            for _ in range(2):
                await log.append(team(chance, 900))  # killed with batches under way
                await stack.aclose()
                await log.append(team(chance, 300))
                url = await stack.enter_async_context(server(tmp_path / "data", port))
                await running.until(await log.last_sequence())
        assert await judged(url, log) == 2400


async def test_a_sink_may_begin_before_its_server(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    await log.append(team(random.Random(6), 50))
    async with server(tmp_path / "data") as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
    async with sink(nats_url, url) as running, server(tmp_path / "data", port):
        await running.until(await log.last_sequence())
        assert await judged(url, log) == 50


async def test_a_full_disk_and_lost_answers_cost_nothing(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    chance, faults = random.Random(7), tmp_path / "data.faults"
    async with server(tmp_path / "data") as url, sink(nats_url, url) as running:
        await log.append(team(chance, 50))
        await running.until(await log.last_sequence())
        faults.write_text("full")
        await log.append(team(chance, 1500))
        before, refused = running.position, await asyncio.wait_for(_refused(running), 60)
        assert "not enough space" in refused
        assert "free some space" in refused
        assert running.position == before
        faults.write_text("lost")  # the rows are in, but nobody says so
        await running.until(await log.last_sequence())
        assert await judged(url, log) == 1550


async def _refused(running: Sink) -> str:
    assert running.process.stderr is not None
    while True:
        line = (await running.process.stderr.readline()).decode()
        if "trying again" in line:
            return line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_disk_that_is_really_full(log: JetStreamLog, nats_url: str, small_disk: Path) -> None:
    await log.append(team(random.Random(8), 100))
    ballast = small_disk / "ballast"
    async with sink(nats_url, str(small_disk / "analytics")) as running:
        await running.until(await log.last_sequence())
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 65536)
        await log.append(team(random.Random(9), 1000))
        assert "free some space" in await asyncio.wait_for(_refused(running), 60)
        ballast.unlink()
        await running.until(await log.last_sequence())
    async with server(small_disk / "analytics") as url:
        assert await judged(url, log) == 1100


async def test_of_two_sinks_on_a_server_none_doubles(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    chance = random.Random(3)
    async with server(tmp_path / "data") as url:
        async with sink(nats_url, url) as one, sink(nats_url, url, rows=30) as other:
            assert await one.line() == "ready 0"
            assert await other.line() == "ready 0"
            ends = [asyncio.create_task(each.refusal()) for each in (one, other)]
            done: set[asyncio.Task[str]] = set()
            while not done:
                await log.append(team(chance, 40))
                done, _ = await asyncio.wait(ends, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            assert "another process writes" in done.pop().result()
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        async with sink(nats_url, url) as last:
            await last.until(await log.last_sequence())
        await judged(url, log)


async def test_a_directory_of_chdb_has_one_process(log: JetStreamLog, nats_url: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "analytics")
    async with sink(nats_url, folder) as one, sink(nats_url, folder) as other:
        ends = [asyncio.create_task(each.refusal()) for each in (one, other)]
        done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert "in use by another process" in done.pop().result()
        waiting.pop().cancel()
