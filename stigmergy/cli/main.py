"""The entry point of ``stig``: the tree of commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from schemas.errors import StigmergyError
from stigmergy.cli import (
    ab,
    archive,
    ballot,
    dev,
    doctor,
    events,
    explain,
    fork,
    leaders,
    mission,
    projections,
    query,
    replay,
    schema,
    serve,
    stop,
    workers,
    world,
)
from stigmergy.cli.endings import BAD_INPUT, CODES_HELP, FAILED, INTERRUPTED, tell, tell_crash, tell_error
from stigmergy.cli.run import app as run_app

_HELP = f"""Teams of agents on an event log: run missions, watch them, ask afterwards what happened.

\b
Begin here:
  stig run repair ./my-project     mend a Python repository, each fix proved by its tests
  stig dev                         start everything on this machine and stay
  stig doctor                      what is missing on this machine, and how to mend it

{CODES_HELP}
"""


class InThisOrder(TyperGroup):
    """Lists the commands in the order of need, not groups after commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)


_ORDER = [
    "run", "mission", "ballot", "stop", "resume", "explain", "query", "world", "replay", "fork", "diff", "ab", "events",
    "dev", "status", "down", "workers", "serve", "leaders", "projections", "archive", "schema", "doctor",
]  # fmt: skip
app = typer.Typer(
    name="stig",
    cls=InThisOrder,
    help=_HELP,
    rich_markup_mode=None,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(run_app, name="run")
app.command("dev", short_help="Start everything on this machine.")(dev.dev)
app.command("status")(dev.status)
app.command("down")(dev.down)
app.add_typer(mission.app, name="mission")
app.add_typer(ballot.app, name="ballot")
app.command("explain", short_help="Say why a task went to which worker.")(explain.explain)
app.command("stop", short_help="Stop work at once, everywhere or in a scope.")(stop.stop)
app.command("resume", short_help="Lift emergency stops.")(stop.resume)
app.add_typer(world.app, name="world")
app.command("query", short_help="Ask the analytics: trends, agents, costs, waiting …; or in SQL.")(query.query)
app.command("replay", short_help="Play a mission as a film, or show its state at one event.")(replay.replay)
app.command("fork", short_help="Begin a mission at an event of another one, with a change.")(fork.fork)
app.command("diff", short_help="Show where two missions part.")(replay.diff)
app.command("ab", short_help="Compare strategies on recorded missions.")(ab.ab)
app.add_typer(events.app, name="events")
app.add_typer(workers.app, name="workers")
app.command("serve")(serve.serve)
app.command("leaders", short_help="Show who leads which missions, and who has which seat.")(leaders.leaders)
app.add_typer(projections.app, name="projections")
app.add_typer(archive.app, name="archive")
app.add_typer(schema.app, name="schema")
app.command("doctor", short_help="Check this machine and the stack.")(doctor.doctor)

# Typer brings its own copy of click from some release on; this is the common parent of its complaints in both.
_Misuse: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"stigmergy {version('stigmergy')}")
        except PackageNotFoundError:
            typer.echo("stigmergy 0+unknown")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Never raises: errors become a line and a hint on standard error."""
    try:
        code = app(args=arguments, prog_name="stig", standalone_mode=False)
        sys.stdout.flush()
    except StigmergyError as error:
        return tell_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except _Misuse as error:
        return _misused(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a flaw becomes a crash log
        return tell_crash(error)
    return code if isinstance(code, int) else 0


def _misused(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help())
        return 0
    said: str = error.format_message()  # type: ignore[attr-defined]  # every complaint of click has it
    tell(said.rstrip("."), f"{context.command_path} --help" if context is not None else "stig --help")
    return BAD_INPUT
