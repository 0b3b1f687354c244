"""``stig replay --to``: the film told again under another name."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from events.jetstream.api import ApiRefused, call
from events.replay import Choice, Cursor, Pace, Slice
from events.replay.copies import Sink, SubjectSink, TenantSink, copy_of
from schemas.errors import InvalidInput, Refused
from schemas.subjects import COMMANDS
from stigmergy.cli import screen
from stigmergy.cli.replay_run import Wish, paced, running
from stigmergy.replaying import Scene

if TYPE_CHECKING:
    from stigmergy.cli.recordings import Recording
    from stigmergy.client import Client

_HINT = "write tenant:NAME, or subject:PREFIX"


async def copy(client: Client, record: Recording, cursor: Cursor[Scene], pace: Pace, wish: Wish) -> None:
    """Publish copies of the wanted events, each when it is due, and say how many.

    Raises:
        InvalidInput: the target is none, or the tenant that is read from.
        Refused: somebody would take the copies for work to be done.
    """
    kind, name = _target(wish)
    sink: Sink
    if kind == "subject":
        sink = SubjectSink(client.bus.nc.publish, name)
    else:
        sink = await _tenant(client, record, cursor, name, wish.choice)
    made = known = 0
    async with aclosing(paced(cursor, pace, record)) as due:
        async for event in due:
            if await sink.put(event):
                made += 1
            else:
                known += 1
    await client.bus.nc.flush()
    if wish.as_json:
        screen.print_json({"to": wish.to, "mission": record.mission, "copied": made, "known": known})
    else:
        there = f"; {known:,} were there before" if known else ""
        screen.out().print(f"copied {screen.counted(made, 'event')} to {screen.plain(wish.to or '')}{there}")


async def copy_slice(client: Client, wanted: Slice, wish: Wish) -> None:
    """The same for events of many missions, to bare subjects only: parts of missions must never become work."""
    from stigmergy.cli.pipeline import pipe

    kind, name = _target(wish)
    if kind != "subject":
        raise InvalidInput("only whole missions can be copied to a tenant", hint="name the mission, or subject:PREFIX")
    done = await pipe(client, wanted, wish, SubjectSink(client.bus.nc.publish, name))
    await client.bus.nc.flush()
    if wish.as_json:
        screen.print_json({"to": wish.to, "copied": done.passed, "known": 0})
    else:
        screen.out().print(f"copied {screen.counted(done.passed, 'event')} to {screen.plain(wish.to or '')}")


def _target(wish: Wish) -> tuple[str, str]:
    kind, colon, name = (wish.to or "").partition(":")
    if not colon or kind not in ("tenant", "subject") or not name:
        raise InvalidInput(f"{wish.to!r} is no target", hint=_HINT)
    return kind, name


async def _tenant(client: Client, record: Recording, cursor: Cursor[Scene], name: str, choice: Choice) -> TenantSink:
    """Copies on the log are events like any other: an orchestrator would go on with the mission. So none may be there.

    A mission that has not ended, or of which parts are left out, would be gone on with by the next one that starts.
    """
    if record.events:
        copy_of(record.events[0], name)
    if choice != Choice() or running(record, cursor):
        raise InvalidInput(
            "only a whole mission that has ended can be copied to a tenant",
            hint="an orchestrator would go on with anything else; subject:PREFIX takes every choice",
        )
    if await _orchestrator_waits(client) or await client.workers():
        raise Refused(
            f"an orchestrator or workers are at work here and would carry out the copies for the tenant {name!r}",
            hint="copy to subject:PREFIX, or stop them, or use a NATS server of its own by STIGMERGY_NATS_URL",
        )
    return await TenantSink.open(client.bus.log, name, record.mission)


async def _orchestrator_waits(client: Client) -> bool:
    """Whether anybody asks for commands at this moment."""
    try:
        found = await call(client.bus.nc, f"CONSUMER.INFO.{COMMANDS}.orchestrator")
    except ApiRefused:
        return False  # there has never been one
    return bool(found.get("num_waiting"))
