"""``stig ab``: which strategy is better, on missions of one's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from orchestrator.planning import Template
    from schemas.plan import Plan, StrategyName
    from stigmergy.client import Client
    from stigmergy.trials import Origin, RunView, TrialReport

_NAMES = {
    "success": "succeeded", "duration_s": "duration", "critical_s": "critical path", "attempts": "attempts",
    "violations": "violations", "usd": "money", "tokens": "tokens", "worked_s": "work",
}  # fmt: skip


def ab(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKFLOW|FILE.yaml|MISSION]...", help="Recorded missions, or a workflow that had some."
        ),
    ] = None,
    a: Annotated[str, typer.Option("--a", metavar="STRATEGY", help="One side.")] = "hierarchical",
    b: Annotated[str, typer.Option("--b", metavar="STRATEGY", help="The other side.")] = "peer",
    repeat: Annotated[int, typer.Option(min=1, max=100, help="Run each mission so often both ways.")] = 1,
    last: Annotated[int, typer.Option(min=1, help="Of a workflow: its newest missions, so many.")] = 10,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="A run that takes longer failed.")] = 600.0,
    of: Annotated[
        str | None, typer.Option("--of", metavar="TRIAL", help="Run nothing: report on a trial again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run recorded missions again in two strategies, side by side, and say which is better and whether it is chance.

    Objective and inputs come from the record, everything is executed anew, one run at a time, and the side that goes
    first changes. The runs keep the label "trial", so the report can be had again. A difference counts from p < 0.05 in
    a permutation test over the pairs; it takes 6 pairs to show anything.

    \b
    Examples:
      stig ab pages --last 10
      stig ab ./my-workflow.yaml --a peer --b hierarchical --repeat 3
      stig ab 0193a7 0193b2 --repeat 4 --json
      stig ab --of 0193c8f0-1c1e-7d65-8a51-7f2f0a9b1c2d
    """
    from schemas.errors import InvalidInput

    if bool(what) == (of is not None):
        raise InvalidInput("name missions or a workflow, or a trial with --of", hint="for instance: stig ab hello")
    found = asyncio.run(_reported(of) if of is not None else _tried(what or [], a, b, repeat, last, timeout))
    if as_json:
        screen.print_json(found.model_dump(mode="json"))
    else:
        show(found)


async def _reported(trial: str) -> TrialReport:
    from stigmergy.client import Client
    from stigmergy.trials import report

    async with Client(name="cli") as client:
        return await report(client, trial)


async def _tried(what: list[str], a: str, b: str, repeat: int, last: int, within_s: float) -> TrialReport:
    from schemas.errors import InvalidInput
    from stigmergy.client import Client
    from stigmergy.trials import Trial, report, run_trial

    sides = _side(a), _side(b)
    if a == b:
        raise InvalidInput(f"both sides are {a!r}", hint="compare --a hierarchical --b peer")
    template = _template(what[0])

    def plan(origin: Origin, strategy: StrategyName) -> Plan:
        assert template is not None
        return template.plan(origin.inputs, strategy=strategy)

    trial = Trial(*sides, repeat=repeat, timeout_s=within_s, plan=plan if template is not None else None)
    async with Client(name="cli") as client:
        origins = await _origins(client, what, template.name if template is not None else None, last)
        name = await run_trial(client, trial, origins, told=lambda line: screen.err().print(f"[dim]{line}[/]"))
        return await report(client, name)


def _side(said: str) -> StrategyName:
    from schemas.errors import InvalidInput
    from stigmergy.cli.workflow_choice import strategy_of

    wish = strategy_of(said)
    if wish is None or wish == "auto":
        raise InvalidInput(f"{said!r} is no side of a comparison", hint="there are: hierarchical, peer")
    return wish


def _template(said: str) -> Template | None:
    from stigmergy.cli.workflow_choice import is_file, template_in

    return template_in(said) if is_file(said) else None


async def _origins(client: Client, what: list[str], workflow: str | None, last: int) -> list[Origin]:
    """The missions that are meant: by their ids, or those of a workflow."""
    from schemas.errors import InvalidInput
    from stigmergy.cli.finding import meant
    from stigmergy.trials import origin, recorded

    ids = [row.id for row in await client.missions()]
    named = what if workflow is None else what[1:]
    if workflow is None and len(what) == 1 and what[0] != "last" and not any(one.startswith(what[0]) for one in ids):
        named, workflow = [], what[0]
    if named:
        return [await origin(client, meant(said, ids)) for said in named]
    found = await recorded(client, workflow or "", last=last)
    if not found:
        raise InvalidInput(
            f"the log has no mission of the workflow {workflow!r}",
            hint=f"run some first: stig run {what[0]}; a template of your own is named by its file: stig ab FILE.yaml",
        )
    return found


def show(found: TrialReport) -> None:
    """Print it for people: the runs in pairs, the measures, the verdict."""
    console = screen.out()
    runs = screen.table("mission", "round", found.a, "", found.b, "", right=("round",))
    for one, other in found.pairs:
        runs.add_row(screen.plain(one.of), str(one.round), *_run(one), *_run(other))
    console.print(runs)
    if found.unpaired:
        console.print(f"[yellow]{screen.counted(len(found.unpaired), 'run')} without the other side left out[/]")
    rows = screen.table("", found.a, found.b, "pairs", "p", right=(found.a, found.b, "pairs", "p"))
    for measure in found.comparison.measures:
        p = "too few" if measure.p is None else f"{measure.p:.3f}"
        values = (_value(measure.name, value) for value in (measure.a, measure.b))
        rows.add_row(_NAMES[measure.name], *values, str(measure.pairs), f"[bold]{p}[/]" if measure.shown else p)
    console.print()
    console.print(rows)
    console.print(f"\n[bold]{screen.plain(found.comparison.verdict)}[/]")
    console.print(f"[dim]trial {found.trial}; again with: stig ab --of {found.trial}[/]")


def _run(run: RunView) -> tuple[str, str]:
    ended = screen.span(run.outcome.duration_s)
    return run.mission, f"[green]{ended}[/]" if run.outcome.success else f"[red]failed after {ended}[/]"


def _value(name: str, value: float) -> str:
    if name == "success":
        return f"{value:.0%}"
    if name.endswith("_s"):
        return screen.span(value)
    return f"${value:.4f}" if name == "usd" else f"{value:,.0f}"
