"""The right half of the player: tasks and agents, scratchpads, or the world, as they are at the event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stigmergy.cli.drawing import Line
from stigmergy.cli.screen import plain, status
from stigmergy.cli.sentences import short
from stigmergy.world_panel import document

if TYPE_CHECKING:
    from orchestrator.core.mission import GoalState
    from stigmergy.cli.player import Player
    from stigmergy.replaying import Scene

_MARKS = {
    "succeeded": "[green]✓[/]", "achieved": "[green]✓[/]", "failed": "[red]✗[/]", "retrying": "[yellow]↻[/]",
    "skipped": "[dim]○[/]", "cancelled": "[dim]○[/]", "ready": "[cyan]▸[/]", "open": "[cyan]●[/]",
}  # fmt: skip
_WEIGHTS = {"failed": 90, "retrying": 85, "ready": 80, "succeeded": 20, "cancelled": 15, "skipped": 15}
_LOUD = ("ready", "failed", "retrying")
_LARGE = 200


def panel(player: Player) -> Iterator[Line]:
    """The lines of the panel that the viewer has chosen."""
    scene = player.cursor.state
    if player.panel == "notes":
        yield from _notes(scene)
    elif player.panel == "world" and player.world is not None:
        yield from _world(document(player.world, scene.world, scene.mission.id))
    else:
        yield from _state(scene)


def _notes(scene: Scene) -> Iterator[Line]:
    """Scratchpads, task by task; the one of the task at hand is the last to be left out."""
    if not scene.scratchpads:
        yield Line("[dim]no task has noted anything yet[/]", 1)
    for task in sorted(scene.scratchpads):
        yield Line(f"[bold]{plain(task)}[/]", 20)
        notes = scene.scratchpads[task]
        for name in sorted(notes):
            yield Line(f"  {plain(name)}: [dim]{short(str(notes[name]), 120)}[/]", 10)


def _world(parts: dict[str, dict[str, object]]) -> Iterator[Line]:
    if not parts:
        yield Line("[dim]the world holds nothing of this mission yet[/]", 1)
    for kind, things in parts.items():
        yield Line(f"[bold]{kind}[/] [dim]{len(things)}[/]", 20)
        for name, value in things.items():
            yield Line(f"  {plain(name)} [dim]{short(_brief(value), 120)}[/]", 10)


def _brief(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_brief(inner)}" for name, inner in value.items() if inner not in ("", [], {}, None))
    if isinstance(value, list):
        return f"[{_brief(value[0])}{', …' if len(value) > 1 else ''}]" if value else ""
    return str(value)


def _state(scene: Scene) -> Iterator[Line]:
    """Agents at work first, then the goal tree with its tasks."""
    for name in sorted(scene.agents):
        agent = scene.agents[name]
        busy = agent.doing == "working"
        mark = "[cyan]▸[/]" if busy else "[red]✗[/]" if agent.doing == "lost" else "[dim]·[/]"
        number = f" [dim]#{agent.attempt}[/]" if agent.attempt > 1 else ""
        what = f"{plain(agent.task)}{number} [dim]{short(agent.saying, 80)}[/]" if busy else f"[dim]{agent.doing}[/]"
        text = f"{mark} [bold]{plain(agent.agent)}[/] [dim]{plain(agent.worker[-20:])}[/] {what}"
        yield Line(text, 100 if busy else 30)
    children: dict[str | None, list[GoalState]] = {}
    for name in sorted(scene.mission.goals):
        goal = scene.mission.goals[name]
        children.setdefault(goal.spec.parent, []).append(goal)
    tasks: dict[str, list[str]] = {}
    large = len(scene.mission.tasks) > _LARGE  # only what is under way or went wrong has a chance to be seen then
    for name in sorted(scene.mission.tasks):
        if large and scene.mission.tasks[name].status.value not in _LOUD:
            continue
        tasks.setdefault(scene.mission.tasks[name].spec.goal, []).append(name)
    waiting = [(goal, 0) for goal in reversed(children.get(None, []))]
    while waiting:
        goal, depth = waiting.pop()
        yield Line(_goal(scene, goal, depth), 70 - depth)
        yield from (_task(scene, name, depth + 1) for name in tasks.get(goal.spec.id, ()))
        waiting += [(child, depth + 1) for child in reversed(children.get(goal.spec.id, []))]


def _goal(scene: Scene, goal: GoalState, depth: int) -> str:
    title = goal.spec.title or (scene.mission.objective if goal.spec.parent is None else goal.spec.id)
    lost = f" [red]{goal.failed} ✗[/]" if goal.failed else ""
    counts = f"[dim]{goal.succeeded + goal.failed}/{goal.total}[/]{lost}"
    return f"{'  ' * depth}{_MARKS[goal.status.value]} {short(title, 50)} {counts}"


def _task(scene: Scene, name: str, depth: int) -> Line:
    task = scene.mission.tasks[name]
    word = task.status.value
    number = f" [dim]#{task.attempt}[/]" if task.attempt > 1 else ""
    why = f" [red]{short(task.reason, 60)}[/]" if word == "failed" else ""
    style = "default" if word in _LOUD else "dim"
    text = f"{'  ' * depth}{_MARKS.get(word, '[dim]·[/]')} [{style}]{plain(name)}[/]{number} {status(word)}{why}"
    return Line(text, _WEIGHTS.get(word, 10))
