"""``stig mission``: look at missions, and steer them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import BudgetOption, Json, MissionId

if TYPE_CHECKING:
    from stigmergy.client import Client
    from stigmergy.mission_handle import MissionHandle

app = typer.Typer(help="Look at missions, and steer them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show missions, newest first.

    \b
    Examples:
      stig mission list
      stig mission list -n 100 --json
    """
    from stigmergy.cli.finding import short_ids

    rows = asyncio.run(_with_client(lambda client: client.missions()))
    if as_json:
        screen.print_json([row.model_dump(mode="json") for row in rows[:limit]])
        return
    if not rows:
        screen.out().print("no missions yet; [bold]stig run hello[/] is a first one")
        return
    names = short_ids([row.id for row in rows])
    table = screen.table("mission", "status", "workflow", "objective", "begun", "took", right=("took",))
    for row in rows[:limit]:
        took = screen.span((row.ended_at - row.submitted_at).total_seconds()) if row.ended_at else ""
        objective = screen.plain(row.objective.partition("\n")[0][:60])
        begun = screen.ago(row.submitted_at)
        if row.reason:
            objective = f"{objective} [yellow]{screen.plain(row.reason.partition('\n')[0][:60])}[/]"
        if row.forked_from:
            objective = f"{objective} [dim]⑂ {screen.plain(_origin(row.forked_from, names))}[/]"
        table.add_row(names[row.id], screen.status(row.status), screen.plain(row.workflow), objective, begun, took)
    screen.out().print(table)
    if len(rows) > limit:
        screen.err().print(f"[dim]{len(rows) - limit} older ones: stig mission list -n {len(rows)}[/]")


def _origin(said: str, names: dict[str, str]) -> str:
    """``mission@event`` with the mission's id as short as in the list."""
    mission, _, at = said.partition("@")
    return f"{names.get(mission, mission)}@{at}"


@app.command()
def show(mission: MissionId, as_json: Json = False) -> None:
    """Show a mission: its goals, tasks and result.

    \b
    Examples:
      stig mission show last
      stig mission show 0193a7 --json
    """
    from stigmergy.cli.mission_screen import show_mission

    async def look(client: Client) -> None:
        view = await (await _handle(client, mission)).view()
        if as_json:
            screen.print_json(view.model_dump(mode="json"))
        else:
            show_mission(view, screen.out())

    asyncio.run(_with_client(look))


@app.command()
def events(
    mission: MissionId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until the mission ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvent in each line.")] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw who did what when, instead of a list.")] = False,
    lanes: Annotated[str, typer.Option(help="With --timeline: a lane for each task, agent or worker.")] = "task",
) -> None:
    """Show the events of a mission, from the first on.

    \b
    Examples:
      stig mission events last
      stig mission events last --timeline --lanes agent
      stig mission events 0193a7 --follow --json
    """
    from schemas.errors import InvalidInput
    from stigmergy.cli.mission_events import draw_timeline, print_events
    from stigmergy.cli.timeline import LANES

    if timeline and (follow or as_json):
        raise InvalidInput("--timeline goes with neither --follow nor --json", hint="choose one of them")
    if lanes not in LANES:
        raise InvalidInput(f"there are no lanes by {lanes!r}", hint=f"choose one of {', '.join(LANES)}")

    async def look(client: Client) -> None:
        handle = await _handle(client, mission)
        if timeline:
            await draw_timeline(handle, lanes)
        else:
            await print_events(client, handle, follow=follow, as_json=as_json)

    asyncio.run(_with_client(look))


@app.command()
def pause(mission: MissionId, reason: Annotated[str, typer.Option(help="Why, for the record.")] = "") -> None:
    """Let what runs end, and start nothing new.

    \b
    Example:
      stig mission pause last --reason "waiting for a review"
    """
    _steer(mission, lambda handle: handle.pause(reason), "paused")


@app.command()
def resume(mission: MissionId, budget: BudgetOption = None) -> None:
    """Go on after a pause; of a mission that has spent its budget, with a larger one.

    \b
    Examples:
      stig mission resume last
      stig mission resume last --budget cost=5
    """
    from stigmergy.cli.budgeting import limits_of

    limits = limits_of(budget or ())
    _steer(mission, lambda handle: handle.resume(budget=limits), "resumed")


@app.command()
def cancel(mission: MissionId, reason: Annotated[str, typer.Option(help="Why, for the record.")] = "") -> None:
    """Stop what runs, and end the mission.

    \b
    Example:
      stig mission cancel last
    """
    _steer(mission, lambda handle: handle.cancel(reason), "cancelled")


@app.command()
def retry(
    mission: MissionId,
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="[default: all that failed]")] = None,
) -> None:
    """Give the failed tasks of a failed mission new attempts.

    \b
    Examples:
      stig mission retry last
      stig mission retry 0193a7 analyze
    """
    _steer(mission, lambda handle: handle.retry(*(tasks or ())), "goes on")


@app.command()
def answer(
    mission: MissionId,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task that waits for an answer.")],
    fail: Annotated[bool, typer.Option("--fail", help="Let the task fail, instead of trying it again.")] = False,
    advice: Annotated[str, typer.Option("--advice", metavar="TEXT", help="What the next attempt shall be told.")] = "",
) -> None:
    """Say what to do about a task whose recovery rule asks a person.

    \b
    Examples:
      stig mission answer last fix --advice "leave the tests as they are"
      stig mission answer 0193a7 fix --fail
    """
    _steer(mission, lambda handle: handle.answer(task, retry=not fail, advice=advice), "goes on")


@app.command()
def violations(
    mission: Annotated[str, typer.Argument(metavar="[ID]", help="A mission's id, its beginning, or: last.")] = "last",
    as_json: Json = False,
) -> None:
    """Show what was not as expected, and what was done about it.

    \b
    Examples:
      stig mission violations
      stig mission violations 0193a7 --json
    """
    from stigmergy.cli.violations_screen import show_violations
    from stigmergy.violations import violations_of

    async def look(client: Client) -> None:
        handle = await _handle(client, mission)
        rows = violations_of([event async for event in handle.events(follow=False)])
        if as_json:
            screen.print_json([row.model_dump(mode="json") for row in rows])
        else:
            show_violations(rows, screen.out())

    asyncio.run(_with_client(look))


def _steer(mission: str, act: Callable[[MissionHandle], Awaitable[None]], done: str) -> None:
    async def steer(client: Client) -> str:
        handle = await _handle(client, mission)
        await act(handle)
        return handle.id

    typer.echo(f"mission {asyncio.run(_with_client(steer))} {done}")


async def _handle(client: Client, mission: str) -> MissionHandle:
    from stigmergy.cli.finding import find

    return await find(client, mission)


async def _with_client[T](work: Callable[[Client], Awaitable[T]]) -> T:
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        return await work(client)
