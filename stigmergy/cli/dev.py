"""``stig dev``, ``stig status``, ``stig down``: everything on one machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Imports, Json
from stigmergy.cli.projections import rows_of, show_rows

if TYPE_CHECKING:
    from stigmergy.cli.processes import Beside
    from stigmergy.local import Endpoints, LocalStack
    from stigmergy.settings import Settings


def dev(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when all is ready; it goes on behind.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="How many attempts at once. [default: one a processor, at least 2]"),
    ] = None,
    nats_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of NATS. [default: a free one, kept]")
    ] = None,
    redis_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Valkey. [default: a free one, kept]")
    ] = None,
    imports: Imports = None,
    with_roles: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="ROLES", help="Insist on optional roles, such as archive,analytics; may be repeated."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="ROLES", help="Leave optional roles out; may be repeated."),
    ] = None,
) -> None:
    """Start NATS, Valkey, the roles and a pool of workers on this machine.

    Read models run where their packages are installed. Data, logs and secrets lie in .stigmergy in the working
    directory (STIGMERGY_STATE_DIR names another place).
    Ctrl-C stops everything; the data stay.

    \b
    Examples:
      stig dev
      stig dev --detach --workers 8
      stig dev --import my_agents
      stig dev --without archive
    """
    from schemas.errors import Conflict
    from stigmergy.cli.borrowed import now_for_good
    from stigmergy.cli.processes import beside
    from stigmergy.local import LocalStack

    _check_imports(imports)
    settings = _settings(nats_port, redis_port)
    roles = beside(settings, _each(with_roles), _each(without))
    stack = LocalStack(settings)
    console = screen.err()
    console.print(f"[bold]stigmergy[/]  [dim]{screen.plain(str(settings.state_dir))}[/]")
    if not any(row.kind == "supervisor" and row.state == "running" for row in stack.status()):
        now_for_good(settings)
    try:
        up(stack, workers, imports or (), roles, detach=detach)
    except Conflict as error:
        raise Conflict(error.message, hint="`stig status` shows them, `stig down` stops them") from error


def up(
    stack: LocalStack, workers: int | None, imports: list[str] | tuple[str, ...], roles: Beside, *, detach: bool
) -> None:
    """Start the processes with a line for each; in the foreground it returns when all has stopped."""
    from contextlib import ExitStack

    from stigmergy.cli.processes import default_workers, stack_processes
    from stigmergy.cli.starting import told_progress

    console = screen.err()
    processes = stack_processes(workers or default_workers(), imports, roles.chosen)
    with ExitStack() as watching:
        watching.enter_context(told_progress(stack, console.print))

        def ready(_: Endpoints) -> None:
            watching.close()
            for name, needs in roles.missing:
                lacks = f"{', '.join(needs.missing)} is not installed: {needs.mend}"
                console.print(f"  [dim]- {name:<12}{screen.plain(lacks)}[/]", soft_wrap=True)
            console.print(_how_to_go_on(detach=detach))

        stack.up(processes, detach=detach, on_ready=ready)
    if not detach:
        console.print("[dim]stopped; the data stay[/]")


def _how_to_go_on(*, detach: bool) -> str:
    lines = [
        "",
        "  stig run hello               a first mission",
        "  stig run repair PATH         mend a Python repository",
        "  stig events tail             watch what happens",
    ]
    lines.append(
        "  stig down                    stop everything" if detach else "  Ctrl-C                       stop everything"
    )
    return "\n".join(lines) + "\n"


def status(as_json: Json = False) -> None:
    """Show what runs on this machine. Exit code 1 if something should run and does not.

    \b
    Examples:
      stig status
      stig status --json
    """
    from stigmergy.local import LocalStack
    from stigmergy.settings import Settings

    settings = Settings()
    rows = LocalStack(settings).status()
    models = _read_models(settings) if any(row.kind == "process" and row.ready for row in rows) else []
    broken = any(row.state in ("dead", "restarting") for row in rows)
    if as_json:
        shown = [row.model_dump(mode="json") for row in rows]
        screen.print_json({"state_dir": str(settings.state_dir), "rows": shown, "read_models": models})
        raise typer.Exit(int(broken))
    if not rows:
        screen.out().print(f"nothing runs in {screen.plain(str(settings.state_dir))}; [bold]stig dev[/] starts it")
        return
    table = screen.table(
        "part", "state", "up", "pid", "memory", "restarts", "where", "note", right=("pid", "memory", "restarts")
    )
    for row in rows:
        where = row.endpoint.rpartition("@")[2]
        memory = screen.size(row.memory_bytes) if row.memory_bytes else ""
        note = "" if row.note == "ready" else screen.plain(row.note.partition("\n")[0])
        state = "starting" if row.state == "running" and not row.ready else row.state
        up_s = screen.span(row.uptime_s) if row.uptime_s is not None else ""
        table.add_row(
            row.name, screen.status(state), up_s, str(row.pid or ""), memory, str(row.restarts or ""), where, note
        )
    screen.out().print(table)
    if models:
        typer.echo()
        show_rows(models)
    raise typer.Exit(int(broken))


def _read_models(settings: Settings) -> list[dict[str, Any]]:
    from schemas.errors import StigmergyError

    try:
        return asyncio.run(rows_of(settings, timeout_s=1.0))
    except StigmergyError:  # the table above says which server is not there
        return []


def down() -> None:
    """Stop everything on this machine; the data stay.

    \b
    Example:
      stig down
    """
    from stigmergy.cli.borrowed import now_for_good
    from stigmergy.local import LocalStack
    from stigmergy.settings import Settings

    settings = Settings()
    stopped = LocalStack(settings).down()
    now_for_good(settings)
    typer.echo("stopped; the data stay" if stopped else f"nothing runs in {settings.state_dir}")


def _settings(nats_port: int | None, redis_port: int | None) -> Settings:
    from stigmergy.settings import Settings

    ports = {"nats_port": nats_port, "redis_port": redis_port}
    return Settings(**{name: port for name, port in ports.items() if port is not None})


def _each(lists: list[str] | None) -> list[str]:
    return [name.strip() for names in lists or () for name in names.split(",")]


def _check_imports(imports: list[str] | None) -> None:
    """A mistake in a module is one clear error here, not the end of a log there."""
    if imports:
        from workers.registry import Registry

        Registry(imports)
