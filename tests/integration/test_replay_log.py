"""``stig replay`` and ``stig diff`` over a real NATS server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient

from events.jetstream import JetStreamLog
from events.jetstream.commands import JetStreamCommands
from events.port import Window, Write
from events.replay import HistoryFile, LogSource
from schemas.commands import Command, CommandReply
from schemas.envelope import Event
from schemas.events import parse
from schemas.subjects import mission_filter
from stigmergy.cli.main import run
from stigmergy.replaying import scene_cursor, view

pytestmark = pytest.mark.timeout(60)
HISTORIES = Path(__file__).parents[1] / "replay" / "histories"


async def stig(*arguments: str) -> int:
    return await asyncio.to_thread(run, arguments)


async def write(log: JetStreamLog, events: list[Event]) -> None:
    done = await log.write([Write((event,), key=parse(event).key()) for event in events])
    assert all(hasattr(each, "sequence") for each in done), done


@pytest.fixture
async def log(nats: NatsClient, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JetStreamLog]:
    monkeypatch.setenv("STIGMERGY_NATS_URL", nats_url)
    opened = await JetStreamLog.open(nats)
    yield opened
    await opened.close()


@pytest.fixture
def hello() -> list[Event]:
    return HistoryFile(HISTORIES / "hello.ndjson").read()


async def test_a_mission_on_the_log_is_that_in_the_file(
    log: JetStreamLog, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    assert await stig("replay", "last", "--at", "38", "--json") == 0
    on_log = json.loads(capsys.readouterr().out)
    stored = json.loads((HISTORIES / "hello.view.json").read_text(encoding="utf-8"))
    assert on_log["mission"].pop("sequence") == 38
    assert stored["mission"].pop("sequence") == HistoryFile(HISTORIES / "hello.ndjson").read()[-1].sequence
    assert on_log["mission"] == stored["mission"]
    assert on_log["agents"] == stored["agents"]
    assert await stig("diff", "last", str(HISTORIES / "hello.ndjson")) == 0
    assert await stig("diff", "last", str(HISTORIES / "repair.ndjson"), "--json") == 1
    assert await stig("replay", "last", "--at", "39") == 2
    assert "no event 39" in capsys.readouterr().err


async def test_a_running_mission_is_followed_to_its_end(
    log: JetStreamLog, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello[:20])
    following = asyncio.create_task(stig("replay", "last", "--json"))
    await asyncio.sleep(0.5)
    assert not following.done()
    await write(log, hello[20:])
    assert await following == 0
    shown = [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]
    assert shown == [event.id for event in hello]


async def test_a_source_begins_behind_a_place(log: JetStreamLog, hello: list[Event]) -> None:
    await write(log, hello)
    source = LogSource(log, "default", hello[0].mission)
    rest = [event async for event in source.events(follow=False, after=30)]
    assert [event.id for event in rest] == [event.id for event in hello[30:]]
    async with aclosing(source.events(follow=True, after=37)) as following:
        assert (await anext(following)).id == hello[37].id


async def test_filters_choose_lines(log: JetStreamLog, hello: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
    await write(log, hello)
    assert await stig("replay", "last", "--type", "attempt", "--task", "greet.*", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(one["type"], one["subject"]) for one in found} == {
        (f"attempt.{verb}", f"greet.{name}.say")
        for verb in ("started", "finished")
        for name in ("Ada", "Grace", "Barbara")
    }


async def test_copies_for_another_tenant_fold_to_the_same_and_do_not_double(
    log: JetStreamLog, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    for copied, known in ((38, 0), (0, 38)):
        assert await stig("replay", "last", "--to", "tenant:demo", "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["copied"], answer["known"]) == (copied, known)
    copies = [event async for event in log.read(Window((mission_filter("demo", hello[0].mission),)))]
    cursor = scene_cursor("demo", hello[0].mission)
    cursor.extend(copies)
    assert view(cursor.state_at(38)).mission.status == "completed"
    assert await log.last_sequence() == 76


async def test_copies_are_refused_where_they_would_be_carried_out(
    log: JetStreamLog, nats: NatsClient, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    for arguments in (("--to", "tenant:default"), ("--to", "demo"), ("--to", "tenant:demo", "--type", "task")):
        assert await stig("replay", "last", *arguments) == 2
    commands = await JetStreamCommands.open(nats)

    async def obey(command: Command) -> CommandReply:
        raise AssertionError(command)

    serving = asyncio.create_task(commands.serve(obey))
    await asyncio.sleep(0.3)
    assert await stig("replay", "last", "--to", "tenant:demo") == 1
    assert "at work here" in capsys.readouterr().err
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert await log.last_sequence() == 38


async def test_bare_subjects_hear_the_film(
    log: JetStreamLog, nats: NatsClient, hello: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    await write(log, hello)
    heard = await nats.subscribe("film.>")
    await nats.flush()
    assert await stig("replay", "last", "--to", "subject:film", "--type", "task.ready") == 0
    count = sum(event.type == "task.ready" for event in hello)
    subjects = [(await heard.next_msg(timeout=5)).subject for _ in range(count)]
    assert subjects == [f"film.{hello[0].mission}.task.ready"] * count
    assert f"copied {count} events" in capsys.readouterr().out
    assert await log.last_sequence() == 38
