"""``stig projections``: the read models, how far each is, and folding one from the log again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from projections.hosting import ProjectionStatus
    from schemas.errors import StigmergyError
    from stigmergy.roles import Needs
    from stigmergy.settings import Settings

app = typer.Typer(
    help="Read models: how far each is, and folding one from the log again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def show(as_json: Json = False) -> None:
    """Show every read model: which process hosts it, how far it is, and what is wrong with it.

    Exit code 1 if one that is hosted stands still.

    \b
    Examples:
      stig projections list
      stig projections list --json
    """
    from stigmergy.cli.endings import DONE, FAILED
    from stigmergy.settings import Settings

    rows = asyncio.run(rows_of(Settings(), timeout_s=3.0))
    if as_json:
        screen.print_json(rows)
    else:
        show_rows(rows)
    raise typer.Exit(FAILED if any(row["state"] == "failed" for row in rows) else DONE)


@app.command()
def rebuild(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in `stig projections list`.", show_default=False)],
    to: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Fold up to sequence N and stay there. [default: the end]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Drop a read model and fold it from the log again.

    The process that hosts it does so beside what is in use, which is read and followed until the switch. Ctrl-C stops
    watching, not the rebuild.

    \b
    Examples:
      stig projections rebuild analytics
      stig projections rebuild world --to 12000
    """
    from schemas.errors import InvalidInput
    from stigmergy.roles import read_models

    if name not in read_models():
        raise InvalidInput(f"there is no read model {name!r}", hint=f"the read models are: {', '.join(read_models())}")
    took, position = asyncio.run(_rebuild(name, to))
    if as_json:
        screen.print_json({"name": name, "position": position, "seconds": round(took, 3)})
    else:
        typer.echo(f"{name} was folded from the log again up to {position:,}, in {screen.span(took)}")


async def rows_of(settings: Settings, *, timeout_s: float) -> list[dict[str, Any]]:
    """How every read model does, in plain values. Raises :class:`Unavailable` if nothing runs."""
    from events.services import NatsServices
    from stigmergy.client import Client
    from stigmergy.read_models import statuses
    from stigmergy.roles import ROLES, read_models

    async with Client(settings, name="projections") as client:
        found = await statuses(NatsServices(client.bus.nc), settings.tenant, read_models(), timeout_s=timeout_s)
    return [_row(name, ROLES[name].needs(settings), one) for name, one in found.items()]


async def _rebuild(name: str, to: int | None) -> tuple[float, int]:
    import time
    from contextlib import aclosing

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from events.services import NatsServices
    from stigmergy.client import Client
    from stigmergy.read_models import rebuild as rebuilt
    from stigmergy.settings import Settings

    settings, began, position = Settings(), time.monotonic(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    async with Client(settings, name="projections") as client:
        with Progress(*columns, console=screen.err(), transient=True) as bar:
            task = bar.add_task(name, total=None)
            async with aclosing(rebuilt(NatsServices(client.bus.nc), settings.tenant, name, to)) as steps:  # type: ignore[type-var]
                async for step in steps:
                    bar.update(task, completed=step.position, total=step.goal)
                    position = step.position
    return time.monotonic() - began, position


def _row(name: str, needs: Needs, found: ProjectionStatus | StigmergyError) -> dict[str, Any]:
    import msgspec

    from projections.hosting import ProjectionStatus
    from schemas.errors import Unavailable

    if isinstance(found, ProjectionStatus):
        return {**msgspec.structs.asdict(found), "lag": found.lag}
    hosted = not isinstance(found, Unavailable)
    row = {"name": name, "state": "silent" if hosted else "not hosted", "error": "", "hint": ""}
    if hosted:
        return {**row, "error": found.message, "hint": found.hint}
    if needs.missing:
        return {**row, "error": f"{', '.join(needs.missing)} is not installed", "hint": needs.mend}
    return {**row, "hint": f"stig serve {name}"}


def show_rows(rows: list[dict[str, Any]]) -> None:
    """A table, and below it what is wrong with each."""
    table = screen.table(
        "read model", "state", "position", "behind", "a second", "host", right=("position", "behind", "a second")
    )
    for row in rows:
        if "position" not in row:
            table.add_row(row["name"], screen.status(row["state"]), "", "", "", "")
            continue
        table.add_row(
            row["name"],
            screen.status(shown_state(row)),
            f"{row['position']:,}",
            f"{row['lag']:,}",
            f"{row['rate']:,.0f}",
            screen.plain(row["host"]),
        )
    screen.out().print(table)
    for row in rows:
        if row["error"] or row["hint"]:
            told = "; ".join(part for part in (row["error"], row["hint"]) if part)
            typer.echo(f"{row['name']}: {told}", err=True)


def shown_state(row: dict[str, Any]) -> str:
    """``rebuilding 42 %``, or the state as it is."""
    if row["state"] != "rebuilding" or not row["goal"]:
        return str(row["state"])
    return f"rebuilding {row['rebuilt'] / row['goal']:.0%}"
