"""``stig replay`` and ``stig diff``: a mission as a film, and two missions side by side."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from stigmergy.cli.options import Json

Mission = Annotated[
    str, typer.Argument(metavar="MISSION", help="A mission's id, its beginning, last, or a FILE.ndjson of its events.")
]
Patterns = list[str] | None


def replay(
    mission: Annotated[
        str | None,
        typer.Argument(
            metavar="[MISSION]", help="A mission's id, its beginning, last, or a FILE.ndjson of its events."
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(metavar="SUBJECT", help="Instead of a mission, such as 'events.*.*.task.>'."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="N", help="Only the state after the N-th event; seq:N: by sequence."),
    ] = None,
    speed: Annotated[
        str | None, typer.Option(metavar="X", help="0.1 to 1000, or max. [default: 1 in a terminal, else max]")
    ] = None,
    longest_gap: Annotated[
        float | None,
        typer.Option(metavar="S", min=0, help="No longer pause. [default: 3 in a terminal]"),
    ] = None,
    types: Annotated[
        Patterns, typer.Option("--type", "-t", metavar="PATTERN", help="Such as task.*; may repeat.")
    ] = None,
    tasks: Annotated[Patterns, typer.Option("--task", metavar="PATTERN", help="Such as fix-*; may repeat.")] = None,
    agents: Annotated[Patterns, typer.Option("--agent", metavar="PATTERN", help="Such as tester; may repeat.")] = None,
    workers: Annotated[Patterns, typer.Option("--worker", metavar="PATTERN", help="May repeat.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="10m, 2h, or an ISO time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="10m, 2h, or an ISO time.")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="Publish copies: tenant:NAME, or subject:PREFIX that nobody stores."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines, even in a terminal.")] = False,
    counting: Annotated[bool, typer.Option("--count", help="Only how many events there are.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="With a subject: go on at the end. A mission is followed anyway.")
    ] = False,
    archive: Annotated[bool, typer.Option("--archive/--no-archive", help="Read older events from the archive.")] = True,
    as_json: Json = False,
) -> None:
    """Play a mission as a film, or the events of many: what every agent did, saw and changed, event by event.

    Nothing is executed again, and nothing is written except with --to. In a terminal the film is in your hands:
    space plays and pauses, arrows step, [ and ] change the speed, e goes to the next error, g to an event, / filters.

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
    from schemas.errors import InvalidInput
    from stigmergy.cli.replay_run import Wish, run, run_slice
    from stigmergy.cli.tailing import instant

    begin, end = (instant(said) if said is not None else None for said in (since, until))
    across = mission is None
    if mission is None and subject is None and begin is None and end is None:
        raise InvalidInput("name a mission, a subject or a time", hint="for instance: stig replay last")
    if mission is not None and subject is not None:
        raise InvalidInput("a mission and --subject exclude each other", hint="events.*.MISSION.task.> names both")
    if at is not None and to is not None:
        raise InvalidInput("--at shows one state, --to copies a film", hint="choose one of them")
    if at is not None and across:
        raise InvalidInput("--at shows the state of one mission", hint="stig replay MISSION --at N")
    choice = Choice(
        types=tuple(types or ()),
        tasks=tuple(tasks or ()),
        agents=tuple(agents or ()),
        workers=tuple(workers or ()),
        since=None if across else begin,  # of a mission the state counts all events, so all of them are read
        until=None if across else end,
    )
    wish = Wish(
        choice,
        at=at,
        speed=speed,
        longest_gap_s=longest_gap,
        to=to,
        plain=plain,
        as_json=as_json,
        follow=follow,
        counting=counting,
        archive=archive,
    )
    asyncio.run(run_slice(subject, begin, end, wish) if mission is None else run(mission, wish))


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
