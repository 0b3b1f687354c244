"""``stig stop`` and ``stig resume``: the emergency stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from schemas.signals import Stop
    from stigmergy.client import Client
    from stigmergy.emergency import StopReport

All = Annotated[bool, typer.Option("--all", help="Everything on these servers, all tenants.")]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="T", help="All missions of a tenant.")]
Mission = Annotated[str | None, typer.Option("--mission", metavar="ID", help="One mission: its id, or: last.")]
AgentName = Annotated[str | None, typer.Option("--agent", metavar="A", help="All that agents of this name do.")]
WorkerName = Annotated[str | None, typer.Option("--worker", metavar="W", help="All that one worker process does.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def stop(
    everything: All = False,
    tenant: Tenant = None,
    mission: Mission = None,
    agent: AgentName = None,
    worker: WorkerName = None,
    reason: Reason = "",
    listing: Annotated[bool, typer.Option("--list", help="Show the stops in force, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Stop work at once: agents, their sandboxes and everything these started. It holds until `stig resume`.

    It goes straight to every worker, past all queues. Attempts that it ends are not counted against their tasks.

    \b
    Examples:
      stig stop --all --reason "it deletes the wrong files"
      stig stop --mission last
      stig stop --agent coder
      stig stop --list
    """
    from stigmergy.emergency import stop_work, stops_in_force

    if listing:
        _show_stops(_run(tenant, stops_in_force), as_json)
        return
    scope = _scope("stop", everything, tenant, mission, agent, worker)

    async def work(client: Client) -> StopReport:
        return await stop_work(client, **await _found(client, scope), reason=reason)

    report = _run(tenant, work)
    if as_json:
        screen.print_json(report.model_dump(mode="json"))
    else:
        _show(report)
    if not report.complete:
        raise typer.Exit(1)


def resume(
    everything: All = False,
    tenant: Tenant = None,
    mission: Mission = None,
    agent: AgentName = None,
    worker: WorkerName = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Lift emergency stops: those of the scope, and all within it. What was stopped goes on with new attempts.

    \b
    Examples:
      stig resume --all
      stig resume --mission last
    """
    from stigmergy.emergency import resume_work

    scope = _scope("resume", everything, tenant, mission, agent, worker)

    async def work(client: Client) -> tuple[Stop, ...]:
        return await resume_work(client, **await _found(client, scope), reason=reason)

    left = _run(tenant, work)
    if not as_json:
        typer.echo("resumed")
    if left or as_json:
        _show_stops(left, as_json)


def _scope(
    what: str, everything: bool, tenant: str | None, mission: str | None, agent: str | None, worker: str | None
) -> dict[str, Any]:
    from schemas.errors import InvalidInput

    named = [bool(everything), mission is not None, agent is not None, worker is not None]
    if sum(named) > 1 or (everything and tenant is not None):
        raise InvalidInput("one scope at a time", hint="choose one of --all, --mission, --agent and --worker")
    if not any(named) and tenant is None:
        raise InvalidInput(f"nothing to {what}", hint="say what: --all, --tenant, --mission, --agent or --worker")
    return {"everyone": everything, "mission": mission or "", "agent": agent or "", "worker": worker or ""}


async def _found(client: Client, scope: dict[str, Any]) -> dict[str, Any]:
    from stigmergy.cli.finding import find

    if not scope["mission"]:
        return scope
    return {**scope, "mission": (await find(client, scope["mission"])).id}


def _run[T](tenant: str | None, work: Callable[[Client], Awaitable[T]]) -> T:
    from stigmergy.client import Client
    from stigmergy.settings import Settings

    async def within() -> T:
        settings = Settings() if tenant is None else Settings(tenant=tenant)
        async with Client(settings, name="cli") as client:
            return await work(client)

    return asyncio.run(within())


def _show(report: StopReport) -> None:
    out = screen.out()
    slowest = max(report.acknowledged.values(), default=0.0)
    out.print(f"{screen.counted(len(report.acknowledged), 'worker')} stopped, the last after {slowest:.0f} ms")
    if report.attempts:
        table = screen.table("worker", "mission", "task", "attempt", "ended", right=("attempt", "ended"))
        for one in report.attempts:
            ended = "[red]not yet[/]" if one.ended_ms is None else f"{one.ended_ms:.0f} ms"
            table.add_row(one.worker, one.mission, one.task, str(one.attempt), ended)
        out.print(table)
    for worker in report.missing:
        out.print(f"[red]no answer[/] from {screen.plain(worker)}")
    if not report.recorded:
        out.print(f"[red]not on record yet[/]: {screen.plain(report.problem)}")
    out.print(f"[dim]stop {report.stop}; it holds until stig resume[/]")


def _show_stops(stops: tuple[Stop, ...], as_json: bool) -> None:
    import msgspec

    if as_json:
        screen.print_json([msgspec.to_builtins(stop) for stop in stops])
        return
    if not stops:
        screen.out().print("nothing is stopped")
        return
    table = screen.table("stop", "tenant", "mission", "agent", "worker", "reason")
    for one in stops:
        shown = (one.id, one.tenant or "all", one.mission or "all", one.agent or "all", one.worker or "all", one.reason)
        table.add_row(*(screen.plain(text) for text in shown))
    screen.out().print("still stopped:")
    screen.out().print(table)
