"""Read models are hosted: asked how they do, made anew while they are used, and they do not harm one another."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.port import Write
from events.services import NatsServices
from projections.hosting import Hosted, ProjectionStatus, RebuildStep
from projections.port import Projection
from schemas.errors import InvalidInput, Refused, StigmergyError, ToolMissing, Unavailable
from stigmergy.read_models import rebuild, statuses
from tests.integration.archive_bench import fact, needs_pyarrow
from tests.integration.tally import Tally

needs_pyarrow()

from projections.archive.commits import manifest  # noqa: E402
from projections.archive.places import FolderPlace  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def hosted(
    make: Callable[[], Projection], log: JetStreamLog, nats: Client, *, alone: bool = False
) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    host = Hosted("tally", make, log, NatsServices(nats), host="here", alone=alone)
    running = asyncio.create_task(host.run(ready))
    try:
        async with asyncio.timeout(10):
            await asyncio.wait({running, waiting := asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
        waiting.cancel()
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def status(nats: Client) -> ProjectionStatus:
    found = (await statuses(NatsServices(nats), "acme", ["tally"]))["tally"]
    assert isinstance(found, ProjectionStatus), found
    return found


async def reached(nats: Client, wanted: Callable[[ProjectionStatus], bool]) -> ProjectionStatus:
    async with asyncio.timeout(15):
        while not wanted(found := await status(nats)):
            await asyncio.sleep(0.02)
    return found


async def steps(nats: Client, to: int | None = None) -> list[RebuildStep]:
    return [step async for step in rebuild(NatsServices(nats), "acme", "tally", to)]


async def fill(log: JetStreamLog, many: int = 300) -> None:
    await log.write([Write((fact(("note.posted", "tool.called")[n % 2]),)) for n in range(many)])


async def test_how_it_does(log: JetStreamLog, nats: Client, tmp_path: Path) -> None:
    await fill(log)
    async with hosted(lambda: Tally(log, tmp_path), log, nats):
        found = await reached(nats, lambda one: one.position == 300)
    assert (found.name, found.host, found.state, found.log_end, found.lag) == ("tally", "here", "following", 300, 0)


async def test_folded_again_and_switched_while_it_follows(log: JetStreamLog, nats: Client, tmp_path: Path) -> None:
    await fill(log)
    tally = Tally(log, tmp_path, pause_s=0.3)
    async with hosted(lambda: tally, log, nats):
        await reached(nats, lambda one: one.position == 300)
        wrong = {"position": 300, "counts": {"note.posted": -7}}
        (tmp_path / "tally.json").write_text(json.dumps(wrong))
        rebuilding = asyncio.create_task(steps(nats))
        during = await reached(nats, lambda one: one.state == "rebuilding" and one.rebuilt > 0)
        assert (during.position, during.goal) == (300, 300)
        assert tally.read() == wrong  # still in use
        with pytest.raises(Refused, match="being rebuilt already"):
            await steps(nats)
        await log.append([fact()])  # and still followed
        await reached(nats, lambda one: one.position == 301)
        told = await rebuilding
        assert told[-1] == RebuildStep(300, 300, done=True)
        assert [step.position for step in told] == sorted(step.position for step in told)
        await log.append([fact()])
        await reached(nats, lambda one: one.position == 302 and one.state == "following")
        assert tally.read()["counts"] == {"note.posted": 152, "tool.called": 150}


async def test_folded_up_to_a_point_and_kept_there(log: JetStreamLog, nats: Client, tmp_path: Path) -> None:
    await fill(log)
    tally = Tally(log, tmp_path)
    async with hosted(lambda: tally, log, nats):
        await reached(nats, lambda one: one.position == 300)
        with pytest.raises(InvalidInput, match="not to 301"):
            await steps(nats, 301)
        assert (await steps(nats, 100))[-1] == RebuildStep(100, 100, done=True)
        await log.append([fact()])
        assert tally.read() == {"position": 100, "counts": {"note.posted": 50, "tool.called": 50}}
        assert (await steps(nats))[-1].position == 301
        await reached(nats, lambda one: one.position == 301)


async def test_whoever_asked_may_leave(log: JetStreamLog, nats: Client, tmp_path: Path) -> None:
    await fill(log)
    tally = Tally(log, tmp_path, pause_s=0.2)
    async with hosted(lambda: tally, log, nats):
        await reached(nats, lambda one: one.position == 300)
        (tmp_path / "tally.json").write_text(json.dumps({"position": 300, "counts": {}}))
        asking = asyncio.create_task(steps(nats))
        await reached(nats, lambda one: one.state == "rebuilding")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await reached(nats, lambda one: one.state == "following")
        assert tally.read()["counts"] == {"note.posted": 150, "tool.called": 150}


async def test_killed_in_the_middle_of_a_rebuild(
    log: JetStreamLog, nats: Client, nats_url: str, tmp_path: Path
) -> None:
    await fill(log)

    async def start(pause_s: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.tally", nats_url, str(tmp_path), pause_s),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    process = await start("0.5")
    await reached(nats, lambda one: one.position == 300)
    asking = asyncio.create_task(steps(nats))
    await reached(nats, lambda one: one.rebuilt > 0)
    process.kill()
    await process.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    tally = Tally(log, tmp_path)
    assert tally.read() == {"position": 300, "counts": {"note.posted": 150, "tool.called": 150}}
    await log.append([fact()])
    process = await start("0")
    await reached(nats, lambda one: one.position == 301 and one.state == "following")
    assert (await steps(nats))[-1].done
    assert tally.read() == {"position": 301, "counts": {"note.posted": 151, "tool.called": 150}}
    process.kill()
    await process.wait()


async def test_nobody_hosts_it(nats: Client) -> None:
    found = await statuses(NatsServices(nats), "acme", ["tally"])
    assert isinstance(found["tally"], Unavailable)
    assert "stig serve tally" in found["tally"].hint
    with pytest.raises(Unavailable):
        await steps(nats)


class _Lame(Tally):
    failures = 1

    async def run(self, ready: asyncio.Event | None = None) -> None:
        if self.failures:
            self.failures -= 1
            raise ExceptionGroup("of a task group", [StigmergyError("the store is locked", hint="unlock it")])
        await super().run(ready)


async def test_one_that_fails_is_told_and_tried_again(log: JetStreamLog, nats: Client, tmp_path: Path) -> None:
    await fill(log)
    lame = _Lame(log, tmp_path)
    async with hosted(lambda: lame, log, nats):
        found = await reached(nats, lambda one: one.state == "failed")
        assert (found.error, found.hint) == ("the store is locked", "unlock it")
        found = await reached(nats, lambda one: one.position == 300)
        assert (found.state, found.error) == ("following", "")
    lame.failures = 1
    async with hosted(lambda: lame, log, nats, alone=True) as running:
        with pytest.raises(StigmergyError, match="locked"):
            await running


async def test_one_that_cannot_be_made(log: JetStreamLog, nats: Client) -> None:
    def make() -> Projection:
        raise ToolMissing("it needs a package", hint="pip install it")

    async with hosted(make, log, nats):
        found = await status(nats)
        assert (found.state, found.error, found.hint) == ("failed", "it needs a package", "pip install it")
        with pytest.raises(Refused, match="could not be started"):
            await steps(nats)


async def test_the_commands(
    log: JetStreamLog,
    nats_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from stigmergy.cli.main import run

    given = {"NATS_URL": nats_url, "ARCHIVE_URL": str(tmp_path / "archive"), "ARCHIVE_EVERY_S": "0.1"}
    given["REDIS_URL"] = "redis://127.0.0.1:1"
    for name, value in given.items():
        monkeypatch.setenv(f"STIGMERGY_{name}", value)

    async def said(*arguments: str, code: int = 0) -> Any:
        ended = await asyncio.to_thread(run, ["projections", *arguments])
        out, err = capsys.readouterr()
        assert ended == code, out + err
        return json.loads(out) if "--json" in arguments and not ended else out + err

    async def archive_row() -> dict[str, Any]:
        return next(row for row in await said("list", "--json") if row["name"] == "archive")

    row = await archive_row()
    assert (row["name"], row["state"]) == ("archive", "not hosted")
    assert "stig serve archive" in await said("list")
    assert "nobody serves" in await said("rebuild", "archive", code=3)
    assert "there is no read model" in await said("rebuild", "nothing", code=2)
    await fill(log)
    # Beside a role that cannot work: there is no Redis.
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stigmergy.cli", "serve", "orchestrator", "archive"),
        cwd=ROOT,
        env=dict(os.environ),
        stderr=asyncio.subprocess.DEVNULL,
    )
    place = FolderPlace(tmp_path / "archive")
    async with asyncio.timeout(20):
        while manifest(place).end < 300 or (await archive_row()).get("lag") != 0:
            await asyncio.sleep(0.05)
    assert "following" in await said("list")
    before = {file.path for commit in manifest(place).chain for file in commit.files}
    assert (await said("rebuild", "archive", "--json"))["position"] == 300
    assert before.isdisjoint(file.path for commit in manifest(place).chain for file in commit.files)
    assert "cannot stop at an event" in await said("rebuild", "archive", "--to", "5", code=1)
    assert "not to 900" in await said("rebuild", "archive", "--to", "900", code=2)
    assert serving.returncode is None
    serving.terminate()
    await serving.wait()


@pytest.mark.parametrize("stays", [False, True])
async def test_a_role_that_cannot_start(
    nats: Client, nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    monkeypatch.setenv("STIGMERGY_ARCHIVE_URL", "nonsense://x/y")
    arguments = ("serve", *(["--stay"] if stays else []), "archive")
    serving = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stigmergy.cli", *arguments), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        if not stays:
            async with asyncio.timeout(30):
                _, said = await serving.communicate()
            assert serving.returncode == 2
            assert b"no place for an archive" in said
            return
        async with asyncio.timeout(30):
            while not isinstance(found := await _archive(nats), ProjectionStatus) or found.state != "failed":
                await asyncio.sleep(0.05)
        assert "no place for an archive" in found.error
        assert serving.returncode is None
    finally:
        if serving.returncode is None:
            serving.terminate()
            await serving.communicate()


async def _archive(nats: Client) -> ProjectionStatus | StigmergyError:
    return (await statuses(NatsServices(nats), "acme", ["archive"]))["archive"]
