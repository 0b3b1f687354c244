"""``stig workers``: pools of workers, and who is there."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Imports, Json

if TYPE_CHECKING:
    from schemas.signals import Heartbeat

app = typer.Typer(help="Start pools of workers, and see who is there.", no_args_is_help=True, rich_markup_mode=None)


class Pool(StrEnum):
    """Celery's pools that we support."""

    PREFORK = "prefork"
    SOLO = "solo"


@app.command()
def start(
    skills: Annotated[
        str | None, typer.Option(metavar="A,B", help="Take only tasks of these skills. [default: all that are found]")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", min=1, max=256, help="Attempts at once. [default: one a processor]"),
    ] = None,
    pool: Annotated[
        Pool, typer.Option(help="prefork: a process for each attempt; solo: this process, one at a time.")
    ] = Pool.PREFORK,
    imports: Imports = None,
    sandbox: Annotated[
        str | None, typer.Option(metavar="NAME", help="Insist on this sandbox. [default: the strongest that works]")
    ] = None,
) -> None:
    """Start a pool of workers and stay. SIGTERM or Ctrl-C lets what runs end first.

    Scaling out is starting the same command on another machine, with STIGMERGY_NATS_URL and STIGMERGY_REDIS_URL set.

    \b
    Examples:
      stig workers start
      stig workers start --skills test,code --concurrency 8
      stig workers start --import my_agents --pool solo
    """
    from stigmergy.cli.processes import default_workers
    from stigmergy.cli.serve import log_to_stderr
    from stigmergy.settings import Settings
    from stigmergy.wiring import worker_settings
    from workers.celery_app import run_pool
    from workers.registry import Registry
    from workers.sandboxes.choose import backend

    chosen = tuple(part.strip() for part in skills.split(",") if part.strip()) if skills is not None else None
    Registry(imports or (), chosen)
    if sandbox is not None:
        backend(sandbox)
    settings = Settings()
    log_to_stderr(settings.log_level)
    made = worker_settings(
        settings, skills=chosen, imports=tuple(imports or ()), sandbox=sandbox, may_exit=pool is Pool.PREFORK
    )
    raise typer.Exit(
        run_pool(made, concurrency=concurrency or default_workers(), pool=pool.value, log_level=settings.log_level)
    )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the workers that are alive: listens for one heartbeat, a good second.

    \b
    Examples:
      stig workers list
      stig workers list --json
    """
    beats = asyncio.run(_beats())
    if as_json:
        screen.print_json([_plain(beat) for beat in beats])
        return
    if not beats:
        screen.out().print("no workers are there; [bold]stig workers start[/] starts a pool")
        return
    table = screen.table("worker", "host", "pid", "skills", "running", right=("pid",))
    for beat in beats:
        running = ", ".join(f"{run.task} #{run.attempt}" for run in beat.running) or "[dim]idle[/]"
        table.add_row(beat.worker, beat.host, str(beat.pid), ", ".join(beat.skills), running)
    screen.out().print(table)


async def _beats() -> list[Heartbeat]:
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        return await client.workers()


def _plain(beat: Heartbeat) -> dict[str, object]:
    running = [
        {"tenant": one.tenant, "mission": one.mission, "task": one.task, "attempt": one.attempt} for one in beat.running
    ]
    return {
        "worker": beat.worker, "host": beat.host, "pid": beat.pid, "skills": list(beat.skills), "running": running,
    }  # fmt: skip
