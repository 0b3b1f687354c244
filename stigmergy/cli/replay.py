"""``stig replay`` and ``stig diff``: a mission as a film, and two missions side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from stigmergy.cli.replay_run import Wish

Mission = Annotated[
    str | None,
    typer.Argument(metavar="[MISSION]", help="A mission's id, its beginning, last, or a FILE.ndjson of its events."),
]
Subject = Annotated[str | None, typer.Option(metavar="SUBJECT", help="Instead of a mission, as events.*.*.task.>")]
At = Annotated[str | None, typer.Option(metavar="N", help="Only the state after the N-th event; seq:N, 12:30:15.")]
Speed = Annotated[
    str | None,
    typer.Option(metavar="X", help="0.1 to 1000, or max. [default: 1 in a terminal and to a subject, else max]"),
]
LongestGap = Annotated[
    float | None, typer.Option(metavar="S", min=0, help="No longer pause. [default: 3 in a terminal]")
]
Types = Annotated[list[str] | None, typer.Option("--type", "-t", metavar="PATTERN", help="Such as task.*; may repeat.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", metavar="PATTERN", help="Such as fix-*; may repeat.")]
Agents = Annotated[list[str] | None, typer.Option("--agent", metavar="PATTERN", help="Such as tester; may repeat.")]
Workers = Annotated[list[str] | None, typer.Option("--worker", metavar="PATTERN", help="May repeat.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help="10m, 2h, or an ISO time.")]
Target = Annotated[
    str | None,
    typer.Option(metavar="TARGET", help="Publish copies: tenant:NAME, or subject:PREFIX for listeners."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Lines, even in a terminal.")]
Count = Annotated[bool, typer.Option("--count", help="Only how many events there are.")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="With a subject: go on at the end. A mission is followed anyway.")
]
Archive = Annotated[bool, typer.Option("--archive/--no-archive", help="Read older events from the archive.")]


def replay(
    mission: Mission = None,
    subject: Subject = None,
    at: At = None,
    speed: Speed = None,
    longest_gap: LongestGap = None,
    types: Types = None,
    tasks: Tasks = None,
    agents: Agents = None,
    workers: Workers = None,
    since: Time = None,
    until: Time = None,
    to: Target = None,
    plain: Plain = False,
    counting: Count = False,
    follow: Follow = False,
    archive: Archive = True,
    as_json: Json = False,
) -> None:
    """Play a mission as a film, or the events of many: what every agent did, saw and changed, event by event.

    Nothing is executed again, and nothing is written except with --to. In a terminal the film is in your hands:
    space plays and pauses, arrows step, [ and ] change the speed, e goes to the next error, g to an event, / filters,
    f finds, ? tells the rest.

    \b
    Examples:
      stig replay last
      stig replay 0193a7 --at 40 --json
      stig replay last --speed 10 --type 'task.*' --type world.violated --plain
      stig mission events last --json > run.ndjson; stig replay run.ndjson
      stig replay last --speed 5 --to subject:demo
      stig replay --subject 'events.*.*.task.>' --since 2h
      stig replay --subject 'events.*.*.world.violated' --since 7d --count
      stig replay --since 1d --speed max --json | jq .type
    """
    from events.replay import Choice
    from stigmergy.cli.replay_run import Wish, run, run_slice
    from stigmergy.cli.tailing import instant

    begin, end = (instant(said) if said is not None else None for said in (since, until))
    choice = Choice(types=_all(types), tasks=_all(tasks), agents=_all(agents), workers=_all(workers))
    wish = Wish(choice, at, speed, longest_gap, to, plain, as_json, follow, counting, archive)
    _check(mission, subject, timed=begin is not None or end is not None, wish=wish)
    asyncio.run(run_slice(subject, begin, end, wish) if mission is None else run(mission, wish.within(begin, end)))


def _all(patterns: list[str] | None) -> tuple[str, ...]:
    return tuple(patterns or ())


def _check(mission: str | None, subject: str | None, *, timed: bool, wish: Wish) -> None:
    from schemas.errors import InvalidInput

    if mission is None and subject is None and not timed:
        raise InvalidInput("name a mission, a subject or a time", hint="for instance: stig replay last")
    if mission is not None and subject is not None:
        raise InvalidInput("a mission and --subject exclude each other", hint="events.*.MISSION.task.> names both")
    if wish.at is not None and wish.to is not None:
        raise InvalidInput("--at shows one state, --to copies a film", hint="choose one of them")
    if wish.at is not None and mission is None:
        raise InvalidInput("--at shows the state of one mission", hint="stig replay MISSION --at N")


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A mission, or a FILE.ndjson of its events.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Show where two missions part: the first event that differs, then tasks and results.

    Events are paired by type, subject and occurrence, because parallel tasks come in another order each time. Times,
    ids and names of workers are not compared. Exit code: 0 the same, 1 different.

    \b
    Examples:
      stig diff 0193a7 last
      stig diff before.ndjson after.ndjson --json
    """
    from stigmergy.cli.comparison import compare_missions

    if not asyncio.run(compare_missions(a, b, as_json=as_json)):
        raise typer.Exit(1)
