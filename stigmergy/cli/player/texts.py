"""What the player says: markup of single lines, made of the film and of the state at the event at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from stigmergy.cli.screen import clock, counted, plain, span, status
from stigmergy.cli.sentences import sentence, short
from stigmergy.scene_changes import Change, changes
from stigmergy.world_panel import document

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.cli.player.film import Film
    from stigmergy.replaying import Scene

_MOST = 400


def title(film: Film) -> str:
    """Whether it plays, how fast, where it is, and whose film it is. Reads no state."""
    cursor = film.cursor
    speed = "max" if film.pace.speed == math.inf else f"{film.pace.speed:g}x"
    sign = "[yellow]‖[/]" if film.pace.paused else "[green]▶[/]"
    live = "  [cyan]live[/]" if film.live else ""
    at = f"  {clock(film.moment)}" if film.moment else ""
    return f"{sign} {speed}  [bold]{cursor.position:,}/{len(cursor):,}[/]{at}{live}"


def mission_title(scene: Scene) -> str:
    """The status and the objective of the mission at hand; its id where there are several."""
    mission = scene.mission
    which = f" [dim]{plain(mission.id[:13])}[/]" if scene.others else ""
    return f"{status(mission.status.value)}{which}  [bold]{short(mission.objective, 120)}[/]"


def status_line(film: Film) -> str:
    """The last complaint, or what is chosen of the film and what is sought in it."""
    if film.message:
        return f"[yellow]{plain(film.message)}[/]"
    told = []
    if not film.filtered and len(film.rows) == len(film.cursor):
        told.append(counted(len(film.cursor), "event"))
    else:
        named = f"[yellow]filtered[/] [bold]{plain(film.filtered)}[/] " if film.filtered else "chosen "
        told.append(f"{named}{len(film.rows):,} of {len(film.cursor):,}")
    told.append(f"{span(film.lanes.length_s)} long")
    if film.sought:
        told.append(f"sought [bold]{plain(film.sought)}[/]")
    return f"[dim]{' · '.join(told)}[/]"


def event_line(film: Film, number: int, *, brief: bool = False) -> str:
    """One line of the list of events; a ``brief`` one leaves the fractions of seconds out."""
    at = clock(film.cursor.about[number - 1].moment)
    digits = len(str(len(film.cursor)))
    return f"[dim]{number:>{digits}}  {at[:8] if brief else at}[/]  {sentence(film.cursor.events[number - 1])}"


def change_lines(film: Film) -> list[str]:
    """The event at hand, and what it changed, the mission first."""
    cursor = film.cursor
    if cursor.event is None:
        return ["[dim]before the first event[/]"]
    found = changes(cursor.state_at(cursor.position - 1), cursor.state, film.world)
    told = [change_line(change) for change in found] or ["[dim]nothing changed by it[/]"]
    return [f"{sentence(cursor.event)}  [dim]{cursor.event.type}[/]", *(f"  {line}" for line in told)]


def change_line(change: Change) -> str:
    """One change as markup."""
    name = f" [bold]{plain(change.name)}[/]" if change.name else ""
    before = "" if change.before in (None, "", {}, ()) else f"[dim]{_value(change.before)} →[/] "
    return f"{change.what}{name} [dim]{plain(change.field)}:[/] {before}{_value(change.after)}"


def mission_lines(scene: Scene) -> Iterator[str]:
    """The mission itself: what it is to do, how far it is, what came of it."""
    mission = scene.mission
    yield from _facts(
        ("mission", mission.id),
        ("status", mission.status.value),
        ("objective", mission.objective),
        ("workflow", mission.workflow),
        ("submitted", mission.submitted_at and clock(mission.submitted_at)),
        ("ended", mission.ended_at and clock(mission.ended_at)),
        ("reason", mission.reason),
        ("failure", mission.failure and f"{mission.failure.code}: {mission.failure.message}"),
    )
    words: dict[str, int] = {}
    for task in mission.tasks.values():
        words[task.status.value] = words.get(task.status.value, 0) + 1
    if words:
        yield ""
        yield "[bold]tasks[/]  " + "  ".join(f"{words[word]:,} {status(word)}" for word in sorted(words))
    for name in sorted(mission.ballots):
        ballot = mission.ballots[name]
        yield f"[dim]ballot[/] {plain(name)} {ballot.status} [bold]{plain(ballot.choice or '')}[/]"
    for what, values in (("inputs", mission.inputs), ("result", mission.result)):
        if values:
            yield ""
            yield f"[bold]{what}[/]"
            yield from (f"  {plain(name)}: [dim]{short(_brief(values[name]), _MOST)}[/]" for name in sorted(values))


def _facts(*facts: tuple[str, object]) -> Iterator[str]:
    for name, value in facts:
        if value:
            shown = status(value) if name == "status" and isinstance(value, str) else short(str(value), _MOST)
            yield f"[dim]{name:<10}[/] {shown}"


def scratchpad_lines(scene: Scene) -> Iterator[str]:
    """What agents noted, task by task."""
    if not scene.scratchpads:
        yield "[dim]no task has noted anything yet[/]"
    for task in sorted(scene.scratchpads):
        yield f"[bold]{plain(task)}[/]"
        notes = scene.scratchpads[task]
        yield from (f"  {plain(name)}: [dim]{short(str(notes[name]), _MOST)}[/]" for name in sorted(notes))


def world_lines(film: Film) -> Iterator[str]:
    """The world model of the mission at hand, kind by kind."""
    scene = film.cursor.state
    parts = document(film.world, scene.world, scene.mission.id) if film.world is not None else {}
    if not parts:
        yield "[dim]the world holds nothing of this mission yet[/]"
    for kind, things in parts.items():
        yield f"[bold]{kind}[/] [dim]{len(things)}[/]"
        yield from (f"  {plain(name)} [dim]{short(_brief(value), _MOST)}[/]" for name, value in things.items())


def event_lines(event: Event | None) -> list[str]:
    """The event at hand as indented JSON, without markup."""
    if event is None:
        return []
    return json.dumps(msgspec.json.decode(msgspec.json.encode(event)), indent=2, ensure_ascii=False).splitlines()


def _brief(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_brief(inner)}" for name, inner in value.items() if inner not in ("", [], {}, None))
    if isinstance(value, list):
        return f"[{_brief(value[0])}{', …' if len(value) > 1 else ''}]" if value else ""
    return str(value)


def _value(value: object) -> str:
    return short("nothing" if value in (None, "") else str(value), 70)
