"""``stig events``: watch the log, write to it, and look after what nobody could handle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from events.port import DeadLetter

app = typer.Typer(help="Watch the log, publish to it, mend dead letters.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def tail(
    types: Annotated[
        list[str] | None, typer.Option("--type", "-t", metavar="PATTERN", help="Such as task.*; may be repeated.")
    ] = None,
    mission: Annotated[str | None, typer.Option("--mission", "-m", metavar="ID", help="Only of this mission.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin in the past: 90s, 10m, 2h, 3d, or an ISO time.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more, or stop at the end.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvent in each line.")] = False,
) -> None:
    """Show events as they are written, from now on or from some time in the past.

    \b
    Examples:
      stig events tail
      stig events tail --type 'task.*' --type world.violated --since 10m
      stig events tail --mission last --since 1h --no-follow --json
    """
    from stigmergy.cli.tailing import tail as print_tail
    from stigmergy.cli.tailing import wanted

    asyncio.run(print_tail(wanted(types or [], since), mission, follow=follow, as_json=as_json))


@app.command()
def publish(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="A file, or - for standard input.")] = "-",
    progress: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep there how far it is; given again, go on there and double nothing."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish events: CloudEvents in JSON, or lines of {"type": …, "data": {…}, "mission": …}.

    A line that is refused is told with its number and its error; the others go on. Exit code 2 if any was refused.
    CloudEvents that the log got in the last ten minutes are not doubled: a file can be published again. With --progress
    nothing is, whenever and however an earlier try ended, and a file that has grown goes on at its new lines.

    \b
    Examples:
      echo '{"type": "note.posted", "data": {"text": "deployed 1.4"}}' | stig events publish
      stig events publish events.ndjson
      stig events publish years.ndjson --progress years.progress
    """
    from stigmergy.cli.endings import BAD_INPUT
    from stigmergy.cli.publishing import publish as publish_all

    outcome = asyncio.run(publish_all(file, progress))
    if as_json:
        screen.print_json(
            {
                "published": outcome.published,
                "errors": [{"line": line, "error": error} for line, error in outcome.errors],
                "counts": {
                    "published": outcome.count,
                    "duplicates": outcome.duplicates,
                    "lines_done_before": outcome.passed,
                    "errors": len(outcome.errors),
                },
            }
        )
    else:
        typer.echo(f"published {screen.counted(outcome.count, 'event')}")
        if outcome.passed:
            typer.echo(f"an earlier try had done {screen.counted(outcome.passed, 'line')}", err=True)
        if outcome.duplicates:
            typer.echo(f"the log had {outcome.duplicates:,} of them already", err=True)
    if outcome.errors:
        raise typer.Exit(BAD_INPUT)


@app.command()
def dead(as_json: Json = False) -> None:
    """Show the dead letters: messages that nobody could handle, with the reason.

    \b
    Examples:
      stig events dead
      stig events dead --json
    """
    from dataclasses import asdict

    letters = asyncio.run(_letters())
    if as_json:
        screen.print_json([{**asdict(one), "raw": one.raw.decode("utf-8", "backslashreplace")} for one in letters])
        return
    if not letters:
        screen.out().print("no dead letters")
        return
    table = screen.table("seq", "consumer", "subject", "error", "reason", right=("seq",))
    for one in letters:
        reason = screen.plain(one.reason[:100])
        table.add_row(str(one.sequence), screen.plain(one.consumer), screen.plain(one.subject), one.code, reason)
    screen.out().print(table)
    screen.err().print("[dim]after mending the cause: stig events retry SEQ[/]")


@app.command()
def retry(
    sequence: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="Its number in: stig events dead.")],
) -> None:
    """Put a dead letter back on the log, as it was.

    \b
    Example:
      stig events retry 7
    """

    async def put_back() -> int:
        from stigmergy.client import Client

        async with Client(name="cli") as client:
            return await client.bus.log.retry_dead_letter(sequence)

    typer.echo(f"dead letter {sequence} is event {asyncio.run(put_back())} now")


async def _letters() -> list[DeadLetter]:
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        return [letter async for letter in client.bus.log.dead_letters()]
