"""What ``stig replay`` does: one state, lines in their own time, copies, or the player."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from events.replay import Choice, Cursor, HistoryFile, Pace, parse_speed, slice_of
from events.replay.pace import MAX
from schemas.errors import InvalidInput
from stigmergy.cli import screen
from stigmergy.cli.mission_events import line
from stigmergy.cli.player.wishes import go_to
from stigmergy.cli.recordings import Recording, connected, recording
from stigmergy.replaying import Scene, scene_cursor
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from schemas.envelope import Event

_GAP_S = 3.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say."""

    choice: Choice
    at: str | None = None
    speed: str | None = None
    longest_gap_s: float | None = None
    to: str | None = None
    plain: bool = False
    as_json: bool = False
    follow: bool = False
    counting: bool = False
    archive: bool = True

    @property
    def played(self) -> bool:
        """Whether the film is put into the viewer's hands."""
        quiet = self.plain or self.as_json or self.counting or self.to is not None or self.at is not None
        able = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return able and not quiet

    def within(self, since: datetime | None, until: datetime | None) -> Wish:
        """Only events of this time are shown; the state of a mission counts all of them."""
        return dataclasses.replace(self, choice=replace(self.choice, since=since, until=until))

    def pace(self) -> Pace:
        timed = self.played or (self.to or "").startswith("subject:")  # who listens is shown it as it was
        speed = parse_speed(self.speed) if self.speed is not None else 1.0 if timed else MAX
        gap = self.longest_gap_s if self.longest_gap_s is not None else _GAP_S if self.played else None
        return Pace(time.monotonic, speed=speed, longest_gap_s=gap)


async def run(said: str, wish: Wish) -> None:
    """Replay a mission.

    Raises:
        InvalidInput: there is no such mission or event, or the options do not fit.
        Unavailable: no log is there to read from.
    """
    pace = wish.pace()
    async with connected(said, always=wish.to is not None) as client:
        record = await recording(client, said, archive=wish.archive)
        cursor = scene_cursor(record.tenant, record.mission, world=world_fold())
        cursor.extend(record.events)
        cursor.choice = wish.choice
        if wish.at is not None:
            show_state(cursor, wish)
        elif wish.counting:
            tell_count(sum(map(cursor.wanted, range(1, len(cursor) + 1))), wish)
        elif wish.to is not None and client is not None:
            from stigmergy.cli.copying import copy

            await copy(client, record, cursor, pace, wish)
        else:
            await _show(cursor, record, pace, wish)


async def run_slice(subject: str | None, since: datetime | None, until: datetime | None, wish: Wish) -> None:
    """Replay what happened in many missions. Raises as :func:`run`."""
    from stigmergy.cli.pipeline import count, pipe
    from stigmergy.cli.slice_film import slice_film

    async with connected(always=True) as client:
        assert client is not None
        wanted = slice_of(subject or "events.>", client.settings.tenant, since=since, until=until)
        if wish.counting:
            tell_count(await count(client, wanted, wish), wish)
        elif wish.to is not None:
            from stigmergy.cli.copying import copy_slice

            await copy_slice(client, wanted, wish)
        elif wish.played:
            record = await slice_film(client, wanted, archive=wish.archive, follow=wish.follow)
            cursor = scene_cursor(record.tenant, "", world=world_fold())
            cursor.extend(record.events)
            cursor.choice = replace(wish.choice, within=wanted)
            await _show(cursor, record, wish.pace(), wish)
        else:
            await pipe(client, wanted, wish)


async def _show(cursor: Cursor[Scene], record: Recording, pace: Pace, wish: Wish) -> None:
    if wish.played:
        from stigmergy.cli.player.play import play

        await play(cursor, pace, record, live=running(record, cursor))
    else:
        await print_lines(cursor, pace, record, as_json=wish.as_json)


def tell_count(number: int, wish: Wish) -> None:
    """Only how many there are."""
    if wish.as_json:
        screen.print_json({"events": number})
    else:
        screen.out().print(f"{number}")


def show_state(cursor: Cursor[Scene], wish: Wish) -> None:
    """The state after one event: as JSON, always the same for the same events; or for people."""
    from stigmergy.cli.state_screen import show_scene, state_document

    if wish.choice != Choice():
        raise InvalidInput("--at shows the state after all events so far", hint="leave the filters out")
    go_to(cursor, wish.at or "")
    if wish.as_json:
        screen.print_json(state_document(cursor, world_fold()))
    else:
        show_scene(cursor, screen.out(), world_fold())


def running(record: Recording, cursor: Cursor[Scene]) -> bool:
    """Whether more events may come: it is on a log, and it has not ended."""
    if record.live is not None:
        return record.live
    if isinstance(record.source, HistoryFile):  # without a fold of all there is
        return False
    mission = cursor.state_at(len(cursor)).mission
    settled = mission.status.ended and all(task.status.ended for task in mission.tasks.values())
    return not settled


async def print_lines(cursor: Cursor[Scene], pace: Pace, record: Recording, *, as_json: bool) -> None:
    """Wanted events, each when it is due; of a mission that runs until it has ended."""
    console = screen.out()
    async with aclosing(paced(cursor, pace, record)) as due:
        async for event in due:
            if as_json:
                screen.print_event(event)
            else:
                console.print(line(event), soft_wrap=True)


async def paced(cursor: Cursor[Scene], pace: Pace, record: Recording) -> AsyncGenerator[Event]:
    """Wanted events, each when it is due, until the mission has ended."""
    async with aclosing(_more(cursor, record)) as more:
        while True:
            while (number := cursor.next_wanted()) is not None:
                moment = cursor.about[number - 1].moment
                if (wait := pace.wait_s(moment)) > 0:
                    await asyncio.sleep(wait)
                pace.shown(moment)
                cursor.jump(number)
                yield cursor.events[number - 1]
            try:
                cursor.extend([await anext(more)])
            except StopAsyncIteration:
                return


async def _more(cursor: Cursor[Scene], record: Recording) -> AsyncGenerator[Event]:
    """What comes after what is known."""
    if not running(record, cursor):
        return
    async with aclosing(record.source.events(follow=True, after=record.last)) as events:
        async for event in events:
            yield event
            if not running(record, cursor):
                return
