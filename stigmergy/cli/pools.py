"""``stig workers list | inspect | drain | scale``: who is there, and how many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from schemas.backlog import SkillBacklog
    from schemas.signals import Heartbeat
    from stigmergy.client import Client

_MIB = 2**20
Name = Annotated[str, typer.Argument(metavar="NAME", help="A pool or one of its workers; a unique beginning will do.")]


def list_(as_json: Json = False) -> None:
    """Show the workers that are alive, and what waits for them: listens for one heartbeat, a good second.

    \b
    Examples:
      stig workers list
      stig workers list --json
    """

    async def look(client: Client) -> None:
        from schemas.errors import StigmergyError
        from stigmergy.fleet import backlog, roll_call

        async with roll_call(client) as roll:
            beats = roll.present()
        try:
            skills = await backlog(client)
        except StigmergyError as error:
            skills, note = [], error.message
        else:
            note = ""
        if as_json:
            import msgspec

            waits = msgspec.to_builtins(skills)
            screen.print_json({"workers": [_plain(beat) for beat in beats], "skills": waits, "note": note})
        else:
            _show(beats, skills, note)

    _with_client(look)


def _show(beats: list[Heartbeat], skills: list[SkillBacklog], note: str) -> None:
    console = screen.out()
    if not beats:
        console.print("no workers are there; [bold]stig workers start[/] starts a pool")
    else:
        numbers = ("done", "ok", "up", "memory")
        table = screen.table("worker", "pool", "host", "skills", "state", *numbers, right=numbers)
        for beat in beats:
            table.add_row(
                beat.worker,
                f"…{beat.pool[-6:]} {beat.kind} {beat.size}",
                beat.host,
                _few(beat.skills),
                _state(beat),
                str(beat.done + beat.failed),
                _rate(beat),
                screen.span(time.time() - beat.since),
                screen.size(beat.rss),
            )
        console.print(table)
    if note:
        console.print(f"[dim]what waits is not known: {screen.plain(note)}[/]")
    waiting = [skill for skill in skills if skill.waiting or skill.running]
    if waiting:
        counts = ("workers", "waiting", "running", "missions", "lag")
        table = screen.table("skill", *counts, right=counts)
        for skill in waiting:
            lag = screen.span(skill.oldest_s) if skill.waiting else ""
            row = (skill.workers, skill.waiting, skill.running, skill.missions)
            table.add_row(skill.skill, *(str(number) for number in row), lag)
        console.print()
        console.print(table)


def _few(skills: tuple[str, ...], most: int = 4) -> str:
    more = f" +{len(skills) - most}" if len(skills) > most else ""
    return ", ".join(skills[:most]) + more


def _state(beat: Heartbeat) -> str:
    running = ", ".join(f"{run.task} #{run.attempt}" for run in beat.running[:3])
    more = f" and {len(beat.running) - 3} more" if len(beat.running) > 3 else ""
    shown = screen.plain(running + more) or "[dim]idle[/]"
    return f"[yellow]draining[/] {shown}" if beat.draining else shown


def _rate(beat: Heartbeat) -> str:
    made = beat.done + beat.failed
    return f"{beat.done / made:.0%}" if made else ""


def _plain(beat: Heartbeat) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(beat)
    made = beat.done + beat.failed
    names = ("tenant", "mission", "task", "attempt")
    return {
        **{name: getattr(beat, name) for name in beat.__struct_fields__ if name != "running"},
        **fields,
        "running": [dict(zip(names, one, strict=True)) for one in fields.get("running", ())],
        "success_rate": round(beat.done / made, 4) if made else None,
        "uptime_s": round(time.time() - beat.since, 1),
    }


def inspect(name: Name) -> None:
    """Show what a worker says of itself: an agent card in the format of the A2A protocol, as JSON.

    \b
    Examples:
      stig workers inspect build-7-4711-9f2a11
      stig workers inspect build-7 | jq .skills
    """

    async def look(client: Client) -> None:
        from schemas.cards import a2a_card
        from stigmergy.fleet import chosen, joining, roll_call

        async with roll_call(client) as roll:
            found = chosen(roll.present(), name=name)
        one = next((beat for beat in found if beat.worker.startswith(name)), found[0])
        screen.print_json(a2a_card(await joining(client, one), client.settings.tenant))

    _with_client(look)


def drain(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A pool or one of its workers; its whole pool drains.")
    ] = None,
    host: Annotated[str, typer.Option(help="All pools of this machine.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="All pools of the tenant.")] = False,
    grace: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Then what still runs goes to others.")] = 300,
    wait: Annotated[bool, typer.Option(help="Stay until they have left.")] = True,
) -> None:
    """Have pools take no more work, end what runs, and leave.

    \b
    Examples:
      stig workers drain build-7-4711-9f2a11
      stig workers drain --host build-7 --grace 30
      stig workers drain --all --no-wait
    """
    from schemas.errors import InvalidInput

    if sum((name is not None, bool(host), everybody)) != 1:
        raise InvalidInput("say which pools: a NAME, or --host HOST, or --all", hint="stig workers list shows them")

    async def ask(client: Client) -> None:
        from schemas.signals import PoolCall
        from stigmergy.fleet import call, chosen, roll_call

        async with roll_call(client) as roll:
            meant = {beat.worker: beat.pool for beat in chosen(roll.present(), name=name or "", host=host)}
            wish = PoolCall(name=next(iter(meant.values())) if name else "", host=host, grace_s=grace)

            def left(present: list[Heartbeat]) -> bool:
                there = [beat for beat in present if beat.worker in meant]
                return all(beat.draining for beat in there) if not wait else not there

            within_s = grace + 20 if wait else 10.0
            await call(client, roll, wish, left, within_s=within_s, told=_progress(meant))
        what = screen.counted(len(meant), "worker")
        screen.out().print(f"{what} {'left' if wait else 'drain'}")

    _with_client(ask)


def scale(
    name: Name,
    size: Annotated[int, typer.Argument(metavar="SIZE", min=1, max=256, help="How many workers it shall have.")],
) -> None:
    """Give a pool of processes another size. Busy workers are not ended: shrinking waits for them.

    \b
    Examples:
      stig workers scale build-7-4711-9f2a11 8
    """

    async def ask(client: Client) -> None:
        from schemas.errors import InvalidInput
        from schemas.signals import PoolCall
        from stigmergy.fleet import call, chosen, roll_call

        async with roll_call(client) as roll:
            pool = chosen(roll.present(), name=name)[0]
            if pool.kind != "prefork":
                raise InvalidInput(
                    f"a pool of kind {pool.kind} cannot be scaled while it runs",
                    hint="start another one, and drain this one",
                )

            def fits(present: list[Heartbeat]) -> bool:
                return len([beat for beat in present if beat.pool == pool.pool]) == size

            await call(client, roll, PoolCall(name=pool.pool, size=size), fits, within_s=60)
        screen.out().print(f"pool {pool.pool} has {screen.counted(size, 'worker')}")

    _with_client(ask)


def _progress(meant: dict[str, str]) -> Callable[[list[Heartbeat]], None]:
    def tell(present: list[Heartbeat]) -> None:
        there = [beat for beat in present if beat.worker in meant]
        running = sum(len(beat.running) for beat in there)
        screen.err().print(f"[dim]{screen.counted(len(there), 'worker')} there, {running} attempts run[/]")

    return tell


def _with_client(work: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        from stigmergy.client import Client

        async with Client(name="cli") as client:
            await work(client)

    asyncio.run(connected())
