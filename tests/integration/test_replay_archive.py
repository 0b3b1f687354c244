"""``stig replay`` where the log has forgotten what the archive still has, and across missions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client as NatsClient

from events.jetstream import JetStreamLog
from events.jetstream.api import call
from events.replay import HistoryFile
from orchestrator.recalling import from_log, read_recording
from schemas.envelope import Event
from schemas.errors import Refused
from stigmergy.archiving import recordings_of
from stigmergy.settings import Settings
from stigmergy.wiring import open_bus
from tests.integration.archive_bench import archive, needs_pyarrow
from tests.integration.test_replay_log import HISTORIES, stig, write

needs_pyarrow()
from projections.archive.places import FolderPlace  # noqa: E402

pytestmark = pytest.mark.timeout(90)
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def log(
    nats: NatsClient, nats_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[JetStreamLog]:
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    monkeypatch.setenv("STIGMERGY_STATE_DIR", str(tmp_path))
    opened = await JetStreamLog.open(nats)
    yield opened
    await opened.close()


@pytest.fixture
def hello() -> list[Event]:
    return HistoryFile(HISTORIES / "hello.ndjson").read()


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "archive")


def lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


async def forget(nats: NatsClient, before: int) -> None:
    await call(nats, "STREAM.PURGE.EVENTS", {"seq": before})


async def test_an_archived_mission_is_replayed_without_a_seam(
    log: JetStreamLog, nats: NatsClient, place: FolderPlace, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello[:20])
    await archive(log, place)
    await write(log, hello[20:])
    for gone in (1, 12, 21):
        await forget(nats, gone)
        assert await stig("replay", hello[0].mission, "--json") == 0
        found = lines(capsys.readouterr().out)
        assert [one["id"] for one in found] == [event.id for event in hello]
        assert [one["sequence"] for one in found] == list(range(1, 39))
    assert await stig("replay", hello[0].mission[:9], "--at", "38", "--json") == 0
    assert json.loads(capsys.readouterr().out)["mission"]["status"] == "completed"
    assert await stig("diff", hello[0].mission, str(HISTORIES / "hello.ndjson")) == 0
    capsys.readouterr()
    assert await stig("replay", "--subject", f"events.*.{hello[0].mission}.>", "--count", "--no-archive") == 0
    said = capsys.readouterr()
    assert said.out.strip() == "18"
    assert "no longer has the sequences 1 to 20" in " ".join(said.err.split())


async def test_a_range_that_nobody_has_is_an_error_that_names_it(
    log: JetStreamLog, nats: NatsClient, place: FolderPlace, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello[:20])
    await archive(log, place)
    await write(log, hello[20:])
    await forget(nats, 26)
    assert await stig("replay", "--since", "1000d", "--count") == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "no longer has the sequences 21 to 25, and the archive does not have them either" in said


async def test_an_archive_of_another_log_is_refused(
    log: JetStreamLog, nats: NatsClient, place: FolderPlace, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    await archive(log, place)
    await call(nats, "STREAM.PURGE.EVENTS", {"seq": 39})
    await write(log, [msgspec.structs.replace(hello[0], id="0" * 36)])
    (place._root / "commits").rename(place._root / "x")
    (place._root / "commits").mkdir()
    assert await stig("replay", "--since", "1000d", "--count") == 0
    assert capsys.readouterr().out.strip() == "1"


async def test_events_of_many_missions_by_subject_type_task_agent_and_time(
    log: JetStreamLog, place: FolderPlace, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    repair = HistoryFile(HISTORIES / "repair.ndjson").read()
    await write(log, [*hello[:30], *repair, *hello[30:]])
    await archive(log, place)
    everything = [*hello[:30], *repair, *hello[30:]]

    async def found(*arguments: str) -> list[str]:
        assert await stig("replay", *arguments, "--json", "--speed", "max") == 0
        ids = [one["id"] for one in lines(capsys.readouterr().out)]
        assert await stig("replay", *arguments, "--count") == 0
        assert capsys.readouterr().out.strip() == str(len(ids))
        return ids

    assert await found("--subject", "events.>") == [event.id for event in everything]
    tasks = [event.id for event in everything if event.type.startswith("task.")]
    assert await found("--subject", "events.*.*.task.>") == tasks
    assert await found("--subject", "events.default.*.*.>", "--type", "task") == tasks
    of_task = await found("--subject", "events.*.*.attempt.>", "--task", "greet.*")
    assert of_task == [e.id for e in everything if e.type.startswith("attempt.") and "greet." in str(e.subject)]
    by_agent = await found("--subject", "events.*.*.tool.called", "--agent", "test*")
    assert 0 < len(by_agent) < sum(event.type == "tool.called" for event in everything)
    since, until = repair[10].time, repair[20].time
    assert await found("--since", since, "--until", until) == [e.id for e in everything if since <= e.time <= until]
    assert await found("--subject", "events.*.*.task.>", "--since", "1s") == []
    assert await stig("replay", "--subject", "events.other.>") == 2
    assert await stig("replay", "last", "--subject", "events.>") == 2
    assert await stig("replay") == 2


async def test_a_slice_is_told_again_on_bare_subjects(
    log: JetStreamLog, nats: NatsClient, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    heard = await nats.subscribe("film.>")
    await nats.flush()
    assert await stig("replay", "--subject", "events.*.*.goal.>", "--to", "subject:film") == 0
    count = sum(event.type.startswith("goal.") for event in hello)
    assert f"copied {count} events" in capsys.readouterr().out
    assert (await heard.next_msg(timeout=5)).subject.startswith("film.")
    await heard.unsubscribe()
    assert await stig("replay", "--subject", "events.>", "--to", "tenant:demo") == 2


async def test_following_is_left_by_ctrl_c_without_a_word(
    log: JetStreamLog, nats_url: str, hello: list[Event], tmp_path: Path
) -> None:
    await write(log, hello)
    command = [sys.executable, "-m", "stigmergy.cli", "replay", "--subject", "events.>", "--follow", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.to_thread(
        lambda: subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment, text=True
        )
    )
    try:
        assert process.stdout is not None
        for event in hello:
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30)
            assert json.loads(line)["id"] == event.id
        await write(log, [msgspec.structs.replace(hello[-1], id="01a00000-0000-7000-8000-000000000001")])
        late = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30)
        assert json.loads(late)["id"] == "01a00000-0000-7000-8000-000000000001"
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(asyncio.to_thread(process.communicate), 30)
        assert (process.returncode, said) == (130, "")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def test_what_a_fork_takes_over_may_be_in_the_archive_alone(
    log: JetStreamLog, nats: NatsClient, place: FolderPlace, hello: list[Event]
) -> None:
    await write(log, hello)
    await archive(log, place)
    await forget(nats, 20)
    settings = Settings()
    async with open_bus(settings, name="test") as bus:
        found = await read_recording(recordings_of(bus, settings), "default", hello[0].mission, 38)
        with pytest.raises(Refused, match="from its beginning on"):
            await read_recording(from_log(bus.log), "default", hello[0].mission, 38)
    assert (found.count, found.now.status.value) == (38, "completed")
    assert {task.spec.id for task in found.then.tasks.values()} >= {"gather", "summary", "greet.Ada.say"}
