"""The state of a mission at one event: as a document, and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from events.replay import Cursor
from schemas.envelope import Event
from stigmergy.cli.mission_events import line
from stigmergy.cli.mission_screen import show_mission
from stigmergy.cli.player.texts import change_line
from stigmergy.cli.screen import plain, status, table
from stigmergy.cli.sentences import short
from stigmergy.replaying import Scene, view
from stigmergy.scene_changes import Change, changes
from stigmergy.world_panel import WorldFold, document

if TYPE_CHECKING:
    from rich.console import Console


def state_document(cursor: Cursor[Scene], world: WorldFold | None = None) -> dict[str, Any]:
    """``number``, ``event``, ``changed``, ``mission``, ``agents``, ``scratchpads``: a function of the events so far.

    And ``world``, if there is a fold of it.
    """
    state = cursor.state
    folded = {"world": document(world, state.world, state.mission.id)} if world is not None else {}
    shown = view(cursor.state).model_dump(mode="json")
    return {
        "number": shown.pop("number"),
        "event": None if cursor.event is None else as_json(cursor.event),
        "changed": [change.model_dump(mode="json") for change in changed(cursor, world)],
        **shown,
        **folded,
    }


def changed(cursor: Cursor[Scene], world: WorldFold | None = None) -> list[Change]:
    """What the event under the cursor changed."""
    return changes(cursor.state_at(cursor.position - 1), cursor.state, world) if cursor.position else []


def as_json(event: Event) -> Any:
    """The event as plain JSON values."""
    return msgspec.json.decode(msgspec.json.encode(event))


def show_scene(cursor: Cursor[Scene], console: Console, world: WorldFold | None = None) -> None:
    """Print it."""
    shown = view(cursor.state)
    if cursor.event is not None:
        console.print(f"[bold]event {cursor.position:,}[/] {line(cursor.event)}", soft_wrap=True)
        for change in changed(cursor, world):
            console.print(f"  {change_line(change)}", soft_wrap=True)
        console.print()
    moment = cursor.about[cursor.position - 1].moment if cursor.position else None
    show_mission(shown.mission, console, moment)
    if shown.agents:
        rows = table("agent", "worker", "doing", "task", "attempt", "newest step", right=("attempt",))
        for one in shown.agents:
            number = str(one.attempt or "")
            word = status("running") if one.doing == "working" else status(one.doing)
            rows.add_row(plain(one.agent), plain(one.worker), word, plain(one.task), number, short(one.saying, 60))
        console.print()
        console.print(rows)
    for task, notes in shown.scratchpads.items():
        console.print(f"\n[dim]scratchpad of[/] {plain(task)}")
        for name, value in notes.items():
            console.print(f"  {plain(name)}: {short(str(value))}", soft_wrap=True)
    if world is not None:
        for kind, things in document(world, cursor.state.world, shown.mission.id).items():
            console.print(f"\n[dim]{kind} of the world[/]")
            for name, value in things.items():
                console.print(f"  {plain(name)}: {short(str(value))}", soft_wrap=True)
