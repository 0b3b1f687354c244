"""Who does what: agents, and the goals of a mission with their tasks, as an outline whose parts may be folded away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stigmergy.cli.screen import plain, status
from stigmergy.cli.sentences import short

if TYPE_CHECKING:
    from orchestrator.core.mission import GoalState, Mission, TaskState
    from stigmergy.replaying import AgentState, Scene

_MARKS = {
    "succeeded": "[green]✓[/]", "achieved": "[green]✓[/]", "failed": "[red]✗[/]", "retrying": "[yellow]↻[/]",
    "skipped": "[dim]○[/]", "cancelled": "[dim]○[/]", "ready": "[cyan]·[/]", "open": "[cyan]●[/]",
}  # fmt: skip
_LOUD = ("ready", "failed", "retrying")
_SMALL = 60
AGENTS = "agents"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the outline.

    Attributes:
        key: ``agents``, ``agent:NAME``, ``goal:NAME`` or ``task:NAME``; the same at every event.
        text: markup.
        inner: whether there are lines below it.
        open: whether they are shown before the viewer has said so.
    """

    key: str
    text: str
    inner: bool = False
    open: bool = False


class Names:
    """Which goals and tasks are below a goal, in the order of the plan; sorted anew only when there are others."""

    def __init__(self) -> None:
        self._known: tuple[str, int, int] = ("", -1, -1)
        self._goals: dict[str | None, list[str]] = {}
        self._tasks: dict[str, list[str]] = {}

    def look(self, mission: Mission) -> None:
        """Take over from a mission. Goals and tasks are added to one, never taken away: their number tells."""
        now = mission.id, len(mission.goals), len(mission.tasks)
        if now == self._known:
            return
        self._known, self._goals, self._tasks = now, {}, {}
        plan = mission.plan
        planned = [*(goal.id for goal in plan.goals), *(group.id for group in plan.groups)]
        for name in sorted(mission.goals, key=_order(planned)):
            self._goals.setdefault(mission.goals[name].spec.parent, []).append(name)
        planned = [task.id for tasks in (plan.tasks, *(group.tasks for group in plan.groups)) for task in tasks]
        for name in sorted(mission.tasks, key=_order(planned)):
            self._tasks.setdefault(mission.tasks[name].spec.goal, []).append(name)

    def goals(self, parent: str | None) -> list[str]:
        """The goals right below a goal; of None the topmost."""
        return self._goals.get(parent, [])

    def tasks(self, goal: str) -> list[str]:
        """The tasks right below a goal."""
        return self._tasks.get(goal, [])


class Outline:
    """The outline of one scene; the lines below an item are made when they are asked for."""

    def __init__(self, scene: Scene, names: Names) -> None:
        names.look(scene.mission)
        self._scene = scene
        self._names = names
        self._hands = {agent.task: agent for agent in scene.agents.values() if agent.doing == "working"}
        self._small = len(scene.mission.tasks) <= _SMALL

    def top(self) -> Iterator[Item]:
        """Agents that have something in hand, then the others in one line, then the goals."""
        busy = [name for name, agent in self._scene.agents.items() if agent.doing == "working"]
        yield from (Item(f"agent:{name}", agent_line(self._scene.agents[name])) for name in sorted(busy))
        if quiet := len(self._scene.agents) - len(busy):
            yield Item(AGENTS, f"[dim]{quiet} agent{'' if quiet == 1 else 's'} without work[/]", inner=True)
        yield from self._below(None)

    def inside(self, key: str) -> Iterator[Item]:
        """The lines below an item."""
        if key == AGENTS:
            quiet = sorted(name for name, agent in self._scene.agents.items() if agent.doing != "working")
            yield from (Item(f"agent:{name}", agent_line(self._scene.agents[name])) for name in quiet)
        elif key.startswith("goal:"):
            goal = key.removeprefix("goal:")
            tasks = self._scene.mission.tasks
            yield from (Item(f"task:{name}", self._task_line(tasks[name])) for name in self._names.tasks(goal))
            yield from self._below(goal)

    def _below(self, parent: str | None) -> Iterator[Item]:
        siblings = self._names.goals(parent)
        for name in siblings:
            goal = self._scene.mission.goals[name]
            inner = bool(goal.total or self._names.goals(name))
            opened = self._small or (parent is None and len(siblings) == 1)
            yield Item(f"goal:{name}", self._goal_line(goal), inner, opened)

    def _task_line(self, task: TaskState) -> str:
        """A task, and where it stands or in whose hands it is."""
        word = task.status.value
        holder = self._hands.get(task.spec.id) if word == "ready" else None
        if holder is not None:
            at = f"[cyan]{plain(holder.agent)}[/] [dim]{plain(holder.worker[-20:])}[/]"
            return f"[cyan]▸[/] {plain(task.spec.id)}{_number(task.attempt)} {at}"
        why = f" [red]{short(task.reason, 60)}[/]" if word == "failed" else ""
        style = "default" if word in _LOUD else "dim"
        mark = _MARKS.get(word, "[dim]·[/]")
        return f"{mark} [{style}]{plain(task.spec.id)}[/]{_number(task.attempt)} {status(word)}{why}"

    def _goal_line(self, goal: GoalState) -> str:
        objective = self._scene.mission.objective
        title = goal.spec.title or (objective if goal.spec.parent is None else goal.spec.id)
        lost = f" [red]{goal.failed} ✗[/]" if goal.failed else ""
        return (
            f"{_MARKS[goal.status.value]} {short(title, 60)} [dim]{goal.succeeded + goal.failed}/{goal.total}[/]{lost}"
        )


def _order(names: Iterable[str]) -> Callable[[str], tuple[int, str]]:
    """A key to sort names by: as the plan has them; branches as what they are branches of, then by name."""
    places = {name: place for place, name in enumerate(names)}
    last = len(places)

    def place(name: str) -> tuple[int, str]:
        own = places.get(name)
        return (places.get(name.rpartition(".")[2], last) if own is None else own), name

    return place


def agent_line(agent: AgentState) -> str:
    """An agent, where it is and what it is doing."""
    mark = {"working": "[cyan]▸[/]", "lost": "[red]✗[/]"}.get(agent.doing, "[dim]·[/]")
    name = f"{mark} [bold]{plain(agent.agent)}[/] [dim]{plain(agent.worker[-20:])}[/]"
    if agent.doing != "working":
        failed = f", {agent.failed} without success" if agent.failed else ""
        return f"{name} [dim]{agent.doing}, ended {agent.finished}{failed}[/]"
    return f"{name} {plain(agent.task)}{_number(agent.attempt)} [dim]{short(agent.saying, 80)}[/]"


def _number(attempt: int) -> str:
    return f" [dim]#{attempt}[/]" if attempt > 1 else ""
