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
    mission: Mission,
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
    as_json: Json = False,
) -> None:
    """Play a mission as a film: what every agent did, saw and changed, event by event.

    Nothing is executed again, and nothing is written except with --to. In a terminal the film is in your hands:
    space plays and pauses, arrows step, [ and ] change the speed, e goes to the next error, g to an event, / filters.

    \b
    Examples:
      stig replay last
      stig replay 0193a7 --at 40 --json
      stig replay last --speed 10 --type 'task.*' --type world.violated --plain
      stig mission events last --json > run.ndjson; stig replay run.ndjson
      stig replay last --speed 5 --to subject:demo
    """
    from events.replay import Choice
    from schemas.errors import InvalidInput
    from stigmergy.cli.replay_run import Wish, run
    from stigmergy.cli.tailing import instant

    if at is not None and to is not None:
        raise InvalidInput("--at shows one state, --to copies a film", hint="choose one of them")
    choice = Choice(
        types=tuple(types or ()),
        tasks=tuple(tasks or ()),
        agents=tuple(agents or ()),
        workers=tuple(workers or ()),
        since=instant(since) if since is not None else None,
        until=instant(until) if until is not None else None,
    )
    wish = Wish(at=at, speed=speed, longest_gap_s=longest_gap, choice=choice, to=to, plain=plain, as_json=as_json)
    asyncio.run(run(mission, wish))


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
