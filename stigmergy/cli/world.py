"""``stig world``: the state of missions, files, tests and workers, as of one event."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from projections.world.check import CheckReport
    from projections.world.queries import Answer, WorldView

app = typer.Typer(
    help="Look at the world model: missions, files, tests, workers, each as of one event.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AtLeast = Annotated[
    int, typer.Option(metavar="N", min=0, help="Wait until the model has reached event N.", show_default=False)
]
Timeout = Annotated[float, typer.Option(metavar="S", min=0, help="Seconds to wait for --at-least.")]
MissionOption = Annotated[
    str, typer.Option("--mission", "-m", metavar="ID", help="A mission's id, the beginning of one, or: last.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show it again whenever it has changed, until Ctrl-C.")]
Ask = Callable[["WorldView", str], Awaitable["Answer[Any]"]]
"""From the world and a mission's whole id to an answer."""
_LOOK_S = 0.5
_TRIES = 5


@app.command()
def show(
    mission: Annotated[str, typer.Option("--mission", "-m", metavar="ID", help="One mission and its tasks.")] = "",
    at_least: AtLeast = 0,
    timeout: Timeout = 10.0,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show the tenant at a glance, or one mission with its tasks.

    \b
    Examples:
      stig world show
      stig world show --mission last --watch
    """
    from projections.world.queries import Answer
    from stigmergy.cli import world_tables as tables

    wait: dict[str, Any] = {"at_least": at_least, "timeout_s": timeout}

    async def glance(world: WorldView, _: str) -> Answer[Any]:
        return await world.summary(**wait)

    async def both(world: WorldView, name: str) -> Answer[Any]:
        state, tasks = await world.mission(name, **wait), await world.tasks(name, **wait)
        for _ in range(_TRIES):  # both as of one event, if it comes to rest for a moment
            if state.position == tasks.position:
                break
            state, tasks = await world.mission(name), await world.tasks(name)
        return Answer(min(state.position, tasks.position), {"mission": state.value, "tasks": tasks.value})

    if mission:
        _answer(mission, both, tables.mission, watch, as_json)
    else:
        _answer("", glance, tables.summary, watch, as_json)


@app.command()
def files(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only paths that begin so.")] = "",
    mission: MissionOption = "last",
    tree: Annotated[
        str, typer.Option(metavar="ID", help="In this tree; head: the newest confirmed; last: as written last.")
    ] = "head",
    at_least: AtLeast = 0,
    timeout: Timeout = 10.0,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show the files that confirmed attempts wrote: content, last writer, and who may write them now.

    \b
    Examples:
      stig world files
      stig world files src/ --mission 01a1fd41 --json
    """
    from stigmergy.cli import world_tables as tables

    async def ask(world: WorldView, name: str) -> Answer[Any]:
        chosen = "" if tree == "last" else tree
        return await world.files(name, prefix=prefix, tree=chosen, at_least=at_least, timeout_s=timeout)

    _answer(mission, ask, tables.files, watch, as_json)


@app.command("tests")
def outcomes(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only tests whose names begin so.")] = "",
    mission: MissionOption = "last",
    status: Annotated[str, typer.Option(metavar="WORD", help="passed, failed, error, timeout, skipped, flaky.")] = "",
    at_least: AtLeast = 0,
    timeout: Timeout = 10.0,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show tests: last outcome, how often each passed and failed, and which are flaky.

    \b
    Examples:
      stig world tests --status failed
      stig world tests tests/test_orders.py --mission last
    """
    from stigmergy.cli import world_tables as tables

    async def ask(world: WorldView, name: str) -> Answer[Any]:
        return await world.tests(name, status=status, prefix=prefix, at_least=at_least, timeout_s=timeout)

    _answer(mission, ask, tables.tests, watch, as_json)


@app.command()
def agents(
    status: Annotated[str, typer.Option(metavar="WORD", help="ready, executing, draining, left, lost.")] = "",
    at_least: AtLeast = 0,
    timeout: Timeout = 10.0,
    watch: Watch = False,
    as_json: Json = False,
) -> None:
    """Show workers: what they do, what they can, and what became of their attempts.

    \b
    Examples:
      stig world agents
      stig world agents --status executing --watch
    """
    from stigmergy.cli import world_tables as tables

    async def ask(world: WorldView, _: str) -> Answer[Any]:
        return await world.agents(status=status, at_least=at_least, timeout_s=timeout)

    _answer("", ask, tables.agents, watch, as_json)


@app.command()
def check(as_json: Json = False) -> None:
    """Compare the model with the log, folded again; exit code 1 if they differ. Needs Redis, and reads the whole log.

    \b
    Examples:
      stig world check
      stig world check --json
    """
    from dataclasses import asdict

    from stigmergy.cli.endings import FAILED

    report = asyncio.run(_checked())
    if as_json:
        screen.print_json({**asdict(report), "sound": report.sound})
    else:
        _tell(report)
    if not report.sound:
        raise typer.Exit(FAILED)


def _answer(mission: str, ask: Ask, show: Callable[[Answer[Any]], None], watch: bool, as_json: bool) -> None:
    """Ask once, or again and again, and print what changed."""

    def shown(answer: Answer[Any]) -> None:
        from projections.world.codec import plain

        if as_json:
            screen.print_json(plain(answer))
            return
        if watch:
            screen.out().clear()
        show(answer)

    asyncio.run(_ask(mission, ask, shown, watch))


async def _ask(said: str, ask: Ask, shown: Callable[[Answer[Any]], None], watch: bool) -> None:
    from stigmergy.cli.finding import meant
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        name = meant(said, [mission.id for mission in (await client.world.missions()).value]) if said else ""
        before: Any = None
        while True:
            answer = await ask(client.world, name)
            if answer.value != before:
                before = answer.value
                shown(answer)
            if not watch:
                return
            await asyncio.sleep(_LOOK_S)


async def _checked() -> CheckReport:
    from projections.world.check import check as compare
    from stigmergy.client import Client
    from stigmergy.settings import Settings
    from stigmergy.wiring import world_redis

    settings = Settings()
    async with Client(settings, name="cli") as client, world_redis(settings) as redis:
        return await compare(redis, client.bus.log, keep_s=settings.world_keep_s, progress=_progress)


def _progress(sequence: int, last: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{sequence:,} of {last:,} events compared ", err=True, nl=False)


def _tell(report: CheckReport) -> None:
    for one in report.differences:
        where = " ".join(word for word in (one.tenant, one.mission, one.part, one.name) if word)
        typer.echo(f"{where}: stored {one.stored}, the log says {one.expected}")
    verdict = "sound" if report.sound else screen.counted(report.different, "difference")
    counted = ", ".join(
        screen.counted(number, noun)
        for number, noun in ((report.tenants, "tenant"), (report.missions, "mission"), (report.parts, "part"))
    )
    typer.echo(f"{verdict}: {counted} compared with the log, as of event {report.position:,}")
    if not report.sound:
        typer.echo("a rebuild folds it anew: stig projections rebuild world", err=True)
