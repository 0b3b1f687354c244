"""``stig workers``: starting pools of workers; :mod:`stigmergy.cli.pools` has the commands about those that run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from stigmergy.cli import pools
from stigmergy.cli import skills as skills_of
from stigmergy.cli.options import Imports

app = typer.Typer(
    help="Start pools of workers, see who is there, drain and scale.", no_args_is_help=True, rich_markup_mode=None
)


class Pool(StrEnum):
    """Celery's pools that we support, and the choice by the nature of the skills."""

    AUTO = "auto"
    PREFORK = "prefork"
    THREADS = "threads"
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
        Pool,
        typer.Option(
            help="prefork: a process for each attempt; threads: a thread each, for work that waits; solo: one at a "
            "time; auto: threads if all skills are of the nature io, else prefork."
        ),
    ] = Pool.AUTO,
    imports: Imports = None,
    sandbox: Annotated[
        str | None, typer.Option(metavar="NAME", help="Insist on this sandbox. [default: the strongest that works]")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="What is special here, for tasks that require it; repeat."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the pool. [default: made of host and process]")] = None,
    memory: Annotated[
        int, typer.Option(min=0, metavar="MIB", help="Most memory of a process of the pool. [default: no limit]")
    ] = 0,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="After SIGTERM; then what still runs goes to others.")
    ] = 300,
) -> None:
    """Start a pool of workers and stay. SIGTERM or Ctrl-C lets what runs end first.

    Scaling out is starting the same command on another machine, with STIGMERGY_NATS_URL and STIGMERGY_REDIS_URL set.

    In a pool of threads an attempt that hangs in C code is not ended when it should stop: only processes can be ended.
    Nor can anybody tell whose memory it is: tasks that limit theirs (max_memory) go to other pools, if there are any.

    \b
    Examples:
      stig workers start
      stig workers start --skills test,code --concurrency 8
      stig workers start --import my_agents --pool solo
      stig workers start --skills train --label gpu=a100 --memory 8000
    """
    from stigmergy.cli.processes import default_workers

    code = _run(
        _listed(skills),
        concurrency or default_workers(),
        pool,
        tuple(imports or ()),
        sandbox,
        labels or [],
        grace,
        memory,
        name or "",
    )
    raise typer.Exit(code)


def _run(
    skills: tuple[str, ...] | None,
    concurrency: int,
    pool: Pool,
    imports: tuple[str, ...],
    sandbox: str | None,
    labels: list[str],
    grace: float,
    memory: int,
    name: str,
) -> int:
    from schemas.ids import token
    from stigmergy.cli.serve import log_to_stderr
    from stigmergy.settings import Settings
    from stigmergy.wiring import worker_settings
    from workers.celery_app import run_pool
    from workers.registry import Registry
    from workers.sandboxes.choose import backend

    registry = Registry(imports, skills)
    if pool is Pool.AUTO:
        pool = Pool.THREADS if registry.nature == "io" else Pool.PREFORK
    if pool is Pool.THREADS:
        typer.echo("threads: max_memory holds for programs in a sandbox only, see stig workers start --help", err=True)
    if sandbox is not None:
        backend(sandbox)
    settings = Settings()
    log_to_stderr(settings.log_level)
    made = worker_settings(
        settings,
        skills=skills,
        imports=imports,
        sandbox=sandbox,
        may_exit=pool is Pool.PREFORK,
        labels=_labels(labels),
        grace_s=grace,
        memory_mb=memory,
        pool=token(name, "pool") if name else "",
    )
    return run_pool(made, concurrency=concurrency, pool=pool.value, log_level=settings.log_level)


def _listed(skills: str | None) -> tuple[str, ...] | None:
    return None if skills is None else tuple(part.strip() for part in skills.split(",") if part.strip())


app.command("list")(pools.list_)
app.command()(pools.inspect)
app.command()(skills_of.skills)
app.command()(pools.drain)
app.command()(pools.scale)


def _labels(given: list[str]) -> dict[str, str]:
    from schemas.errors import InvalidInput

    labels: dict[str, str] = {}
    for label in given:
        name, equals, value = label.partition("=")
        if not (name and equals and value):
            raise InvalidInput(f"{label!r} is no label", hint="write NAME=VALUE, for instance --label gpu=a100")
        labels[name] = value
    return labels
