"""``stig explain``: why an attempt went where it went."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json, MissionId

if TYPE_CHECKING:
    from schemas.envelope import Event

_TERMS = ("load", "warm", "quality", "cost", "speed")
_TOLD = (
    "task.ready", "action.dispatched", "action.refused", "action.expired", "attempt.started", "attempt.finished",
    "world.confirmed", "world.violated", "task.handed_over", "task.handed_back", "agent.took_over",
    "task.retried", "task.succeeded", "task.failed", "task.cancelled",
    "task.skipped",
)  # fmt: skip


def explain(
    mission: MissionId,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    as_json: Json = False,
) -> None:
    """Say why the attempts at a task went to which queue and worker, from what was recorded when it was decided.

    Where there was a choice between kinds of workers, it is shown term by term: LOAD (attempts for each worker), WARM
    (their host has the workspace), QUALITY, COST and SPEED by the weights of the plan. The most points win.

    \b
    Examples:
      stig explain last build
      stig explain 0193a7 build --json
    """
    events, waits_for = asyncio.run(_of_task(mission, task))
    steps = [_step(event) for event in events]
    if waits_for:
        steps.append({"time": None, "event": "waiting", "attempt": None, "says": f"waits for {waits_for}"})
    if as_json:
        screen.print_json(steps)
        return
    console = screen.out()
    for step in steps:
        console.print(f"[dim]{(step['time'] or '')[11:23]:12}[/]  {step['event']:<18} {screen.plain(step['says'])}")
        if step.get("candidates"):
            console.print(_weighed(step["candidates"]))
        if step.get("warning"):
            console.print(f"[yellow]warning: {screen.plain(step['warning'])}[/]")
    if steps[-1]["event"] in ("task.ready", "task.retried", "task.handed_over", "task.handed_back"):
        console.print("[yellow]no worker has been found for it yet; stig workers list shows who is there[/]")


def _weighed(candidates: list[dict[str, Any]]) -> Any:
    """Between whom there was a choice, term by term."""
    terms = [name for name in _TERMS if any(name in one["terms"] for one in candidates)]
    numbers = ("workers", *terms, "points")
    table = screen.table("profile", "host", *numbers, right=numbers)
    for one in candidates:
        values = (f"{one['terms'][name]:+g}" if name in one["terms"] else "" for name in terms)
        table.add_row(one["profile"], one.get("host", ""), str(one.get("workers", 1)), *values, f"{one['points']:g}")
    return table


async def _of_task(mission: str, task: str) -> tuple[list[Event], str]:
    """What was recorded of a task, and what it waits for if it has not begun."""
    from schemas.errors import InvalidInput
    from stigmergy.cli.finding import find
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        handle = await find(client, mission)
        found = [e async for e in handle.events(follow=False) if e.subject == task and e.type in _TOLD]
        seen = next((each for each in (await handle.view()).tasks if each.id == task), None)
    waits_for = seen.waits_for if seen is not None else ""
    if not found and not waits_for:
        raise InvalidInput(
            f"nothing has happened to a task {task!r} of mission {handle.id}", hint="stig mission show lists its tasks"
        )
    return found, waits_for


def _step(event: Event) -> dict[str, Any]:
    import msgspec

    data: dict[str, Any] = msgspec.json.decode(event.data)
    step: dict[str, Any] = {
        "time": event.time,
        "event": event.type,
        "attempt": data.get("attempt"),
        "says": _says(data),
    }
    for name in ("queue", "priority", "worker", "agent", "outcome", "requires", "prefer", "candidates", "warning"):
        if name in data:
            step[name] = data[name]
    return step


def _given(data: dict[str, Any]) -> str:
    """What an attempt behind a barrier began with."""
    met, missing = data.get("needs_met") or [], data.get("needs_missing") or []
    if not met and not missing:
        return ""
    without = f", without {', '.join(missing[:5])}" if missing else ""
    return f"; it has {len(met)} of the {len(met) + len(missing)} it needs{without}"


def _says(data: dict[str, Any]) -> str:
    """What the event tells about where the attempt went, and what became of it there."""
    attempt = f"attempt {data['attempt']}" if "attempt" in data else ""
    if (handing := _handing(attempt, data)) is not None:
        return handing
    if "because" in data:
        return f"{attempt} to {data['queue']}, because {data['because']}"
    if "agent" in data and "outcome" not in data:
        return f"{attempt} was claimed by {data['worker']}, agent {data['agent']}"
    if "skill" in data and "outcome" not in data:
        from schemas.requirements import spelled

        requires = f", requires {spelled(data['requires'])}" if data.get("requires") else ""
        return f"{attempt} needs the skill {data['skill']}{requires}{_given(data)}"
    failure = (data.get("failure") or {}).get("message", "")
    violations = "; ".join(one.get("message", "") for one in data.get("violations", ()))
    said = [attempt, data.get("outcome", ""), failure, violations, data.get("reason", "")]
    return ": ".join(part for part in said if part)


def _handing(attempt: str, data: dict[str, Any]) -> str | None:
    """What the event tells of a hand-off; None if it is about something else."""
    offer = data.get("hand_off")
    if offer:
        return f"{attempt} ended by offering the task to {offer['to']}: {offer['why']}"
    if "tree" in data and "giver" in data:
        return f"{attempt} has the notes and the workspace of attempt {data['giver']}"
    if "giver" in data:
        return f"{attempt} is for {data['skill']}, handed over by {data['giver']}: {data['why']}"
    if "to" in data and "skill" in data:
        return f"{attempt} is for {data['skill']} again, which offered it to {data['to']}: {data['failure']['message']}"
    return None
