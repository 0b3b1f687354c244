"""Commands on JetStream: answered, kept while nobody serves, handed on, and set aside when hopeless."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.jetstream.commands import JetStreamCommands
from schemas.commands import Command, CommandReply, PauseMission
from schemas.errors import TimedOut, Unavailable
from schemas.ids import uuid7


def pause() -> PauseMission:
    return PauseMission(id=uuid7(), mission="m", reason="a test")


async def accept(command: Command) -> CommandReply:
    return CommandReply(accepted=True, mission=command.mission)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_command_is_answered(nats: Client) -> None:
    commands = await JetStreamCommands.open(nats)
    serving = asyncio.create_task(commands.serve(accept))
    assert await commands.send(pause()) == CommandReply(accepted=True, mission="m")
    await stop(serving)


async def test_a_command_waits_for_somebody_to_serve(nats: Client) -> None:
    commands = await JetStreamCommands.open(nats)
    command = pause()
    with pytest.raises(TimedOut, match="no orchestrator answered"):
        await commands.send(command, timeout_s=0.2)
    seen: asyncio.Queue[Command] = asyncio.Queue()

    async def note(later: Command) -> CommandReply:
        await seen.put(later)
        return await accept(later)

    serving = asyncio.create_task(commands.serve(note))
    assert await asyncio.wait_for(seen.get(), 5) == command
    await stop(serving)


async def test_what_is_in_hand_when_serving_ends_is_handed_on_at_once(nats: Client) -> None:
    commands = await JetStreamCommands.open(nats)
    begun = asyncio.Event()

    async def never(command: Command) -> CommandReply:
        begun.set()
        await asyncio.Event().wait()
        return await accept(command)

    first = asyncio.create_task(commands.serve(never))
    answer = asyncio.create_task(commands.send(pause(), timeout_s=8))
    await asyncio.wait_for(begun.wait(), 5)
    await stop(first)
    second = asyncio.create_task(commands.serve(accept))
    assert (await asyncio.wait_for(answer, 5)).accepted  # well before the ten seconds that silence takes
    await stop(second)


@pytest.mark.parametrize("error", [Unavailable("the log is away"), ZeroDivisionError("a flaw")])
async def test_a_command_that_fails_comes_again(
    nats: Client, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    commands = await JetStreamCommands.open(nats)
    tries = 0

    async def second_time_lucky(command: Command) -> CommandReply:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise error
        return await accept(command)

    serving = asyncio.create_task(commands.serve(second_time_lucky))
    assert (await commands.send(pause(), timeout_s=8)).accepted
    assert tries == 2
    assert str(error) in caplog.text
    await stop(serving)


async def test_a_hopeless_command_is_set_aside_and_its_sender_is_told(
    nats: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.jetstream.commands._MOST_TRIES", 1)
    commands = await JetStreamCommands.open(nats)

    async def fails(command: Command) -> CommandReply:
        raise Unavailable("not today")

    serving = asyncio.create_task(commands.serve(fails))
    reply = await commands.send(pause(), timeout_s=8)
    assert (reply.accepted, reply.code) == (False, "limit_exceeded")
    log = await JetStreamLog.open(nats)
    [letter] = [letter async for letter in log.dead_letters()]
    assert "could not be carried out" in letter.reason
    await stop(serving)
