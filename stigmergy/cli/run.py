"""``stig run``: start a mission and follow it to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stigmergy.cli import screen
from stigmergy.cli.options import BudgetOption, Json

if TYPE_CHECKING:
    from schemas.plan import StrategyWish
    from stigmergy.cli.workflow_choice import Choice
    from stigmergy.missions import MissionView
    from stigmergy.settings import Settings

_HELP = """Start a mission and follow it to its end.

`stig run NAME` and `stig run FILE.yaml` are short for `stig run workflow NAME`. Uses the stack that runs here, or
starts one for itself and stops it afterwards. Ctrl-C cancels the mission; a second one leaves at once.

\b
Examples:
  stig run hello
  stig run hello --input 'names=["Ada", "Grace"]' --input greeting=Salute
  stig run repair ./my-project --apply
  stig run repair pypi:NAME==1.2.3 --output mended.patch
  stig run ./my-workflow.yaml --input path=data.csv --objective "Clean the data"

Exit codes: 0 the mission completed (for repair: repaired, or nothing to do), 1 it failed or was cancelled, 2 bad input,
3 something is not available, 130 interrupted.
"""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
Timeout = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Cancel the mission after so long. [default: never]")
]


class ByName(TyperGroup):
    """A group in which everything that is no command of it is the name of a workflow."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``workflow`` before a name or an option that is not ours."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["workflow", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=ByName, help=_HELP, no_args_is_help=True, rich_markup_mode=None)


@app.command(short_help="Mend a Python repository.")
def repair(
    source: Annotated[
        str, typer.Argument(metavar="PATH|GIT-URL|pypi:NAME[==VERSION]", help="The repository.", show_default=False)
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Apply the patch to PATH when the mission is over.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the patch goes. [default: NAME.patch]")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Mend a Python repository: safe fixes in small groups, each proved by the tests that passed before.

    The repository is copied and never touched, unless you say --apply. Its tests run in a sandbox. What makes a test
    worse is refused, and the report says why.

    \b
    Examples:
      stig run repair .
      stig run repair ./my-project --apply
      stig run repair https://git.example/team/project.git#main -o project.patch
      stig run repair pypi:NAME==1.2.3 --json

    Exit codes: 0 repaired or nothing to do, 1 the mission failed or the patch could not be applied, 2 bad input,
    3 something is not available, 130 interrupted.
    """
    from stigmergy.cli.repairing import repair as mend

    raise typer.Exit(
        mend(source, apply=apply, output=output, as_json=as_json, quiet=quiet or as_json, timeout_s=timeout)
    )


@app.command(short_help="Run a workflow by its name or from a file.")
def workflow(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE.yaml]", help="A workflow's name, or a template of your own.")
    ] = None,
    option_name: Annotated[
        str | None, typer.Option("--workflow", metavar="NAME|FILE.yaml", help="The same, as an option.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="KEY=VALUE", help="An input; VALUE is text or JSON; may be repeated."),
    ] = None,
    objective: Annotated[str | None, typer.Option(help="What it is for. [default: the workflow's title]")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="auto|hierarchical|peer", help="How the agents work together. [default: as the workflow]"),
    ] = None,
    budget: BudgetOption = None,
    as_json: Json = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Run a workflow by its name, or a template of your own from a YAML file.

    \b
    Examples:
      stig run hello --input greeting=Salute
      stig run --workflow ./my-workflow.yaml --input limit=10
      stig run ./my-workflow.yaml --strategy peer
      stig run ./my-workflow.yaml --budget cost=2.50 --budget tokens=200000
    """
    from schemas.errors import InvalidInput
    from stigmergy.cli.budgeting import limits_of
    from stigmergy.cli.workflow_choice import choose, strategy_of
    from stigmergy.settings import Settings

    given = [one for one in (name, option_name) if one is not None]
    if len(given) != 1:
        raise InvalidInput("name one workflow", hint="for instance: stig run hello")
    wish = strategy_of(strategy)
    limits = limits_of(budget or ())
    choice = choose(given[0], inputs or [], objective, wish)
    raise typer.Exit(_run(Settings(), choice, wish, limits, as_json=as_json, quiet=quiet or as_json, timeout_s=timeout))


def _run(
    settings: Settings,
    choice: Choice,
    strategy: StrategyWish | None,
    budget: Mapping[str, float],
    *,
    as_json: bool,
    quiet: bool,
    timeout_s: float | None,
) -> int:
    from stigmergy.cli.borrowed import running_stack

    with running_stack(settings, screen.err().print):
        view, interrupted = asyncio.run(_submit(settings, choice, strategy, budget, quiet=quiet, timeout_s=timeout_s))
    if as_json:
        screen.print_json(view.model_dump(mode="json"))
    else:
        show_end(view)
    return ending_of(view, interrupted=interrupted)


async def _submit(
    settings: Settings,
    choice: Choice,
    strategy: StrategyWish | None,
    budget: Mapping[str, float],
    *,
    quiet: bool,
    timeout_s: float | None,
) -> tuple[MissionView, bool]:
    from stigmergy.cli.following import Follower
    from stigmergy.client import Client

    async with Client(settings, name="cli") as client:
        handle = await client.submit(
            choice.objective,
            workflow=choice.workflow,
            plan=choice.plan,
            strategy=None if choice.plan is not None else strategy,
            inputs=choice.inputs,
            budget=budget,
        )
        if handle.busy:
            screen.err().print(f"[yellow]the system is busy: {handle.busy:,} tasks are open; this will take longer[/]")
        follower = Follower(client, handle, quiet=quiet)
        return await follower.to_the_end(timeout_s), follower.interrupted


def ending_of(view: MissionView, *, interrupted: bool) -> int:
    """The exit code for a mission that has ended."""
    from stigmergy.cli.endings import DONE, FAILED, INTERRUPTED

    if view.status == "completed":
        return DONE
    return INTERRUPTED if interrupted else FAILED


def show_end(view: MissionView) -> None:
    """One line on how it ended, and its result."""
    import json

    took = (view.ended_at - view.submitted_at).total_seconds() if view.ended_at and view.submitted_at else 0.0
    console = screen.out()
    reason = f": {screen.plain(view.reason)}" if view.reason else ""
    console.print(f"{screen.status(view.status)}{reason} [dim]{screen.span(took)}, mission {view.id}[/]")
    if view.failure is not None and view.failure.hint:
        console.print(f"hint: {screen.plain(view.failure.hint)}")
    if view.result:
        typer.echo(json.dumps(view.result, indent=2, ensure_ascii=False))
