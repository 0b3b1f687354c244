"""A mission drawn for a terminal: the tree of goals with progress, the tasks in hand, the newest steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stigmergy.cli.screen import clock, plain, span
from stigmergy.cli.watching import Watching

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from stigmergy.missions import GoalView, MissionView, TaskView

_BAR = 16
_NAME = 46
_STEPS = 6
_DEEP = 2
_LOUD = ("failed", "retrying")
_MARKS = {
    "succeeded": "[green]✓[/]", "achieved": "[green]✓[/]", "failed": "[red]✗[/]", "retrying": "[yellow]↻[/]",
    "skipped": "[dim]○[/]", "cancelled": "[dim]○[/]", "waiting": "[dim]·[/]", "ready": "[dim]·[/]",
    "open": "[cyan]●[/]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the tree; where there is no room, lines of low ``weight`` go first."""

    text: str
    weight: int


class Drawing:
    """Renders what is watched as often as it is asked; at most as high as the terminal."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        steps = [f"[dim]{clock(when)}[/] {text}" for when, text in list(self._watching.steps)[-_STEPS:]]
        room = max(console.size.height - len(steps) - 3, 4)
        lines = fitted(list(tree(self._watching)), room)
        for markup in [*lines, "", *steps] if steps else lines:
            text = Text.from_markup(markup)
            text.truncate(options.max_width, overflow="ellipsis")
            yield text


def fitted(lines: list[Line], room: int) -> list[str]:
    """The weightiest lines that there is room for, in their order, and how many are not shown."""
    if len(lines) <= room:
        return [line.text for line in lines]
    ranked = sorted(range(len(lines)), key=lambda number: (-lines[number].weight, number))
    chosen = sorted(ranked[: room - 1])
    hidden = len(lines) - len(chosen)
    return [*(lines[number].text for number in chosen), f"[dim]  … and {hidden} more[/]"]


def tree(watching: Watching) -> Iterator[Line]:
    """The lines of all goals, each with its tasks below it."""
    view = watching.view
    below: dict[str | None, list[GoalView]] = {}
    tasks: dict[str, list[TaskView]] = {}
    for goal in view.goals:
        below.setdefault(goal.parent, []).append(goal)
    for task in view.tasks:
        tasks.setdefault(task.goal, []).append(task)
    for root in below.get(None, ()):
        yield Line(_root(root, view), 100)
        yield from _inside(root, below, tasks, watching, 1)


def _inside(
    goal: GoalView,
    below: dict[str | None, list[GoalView]],
    tasks: dict[str, list[TaskView]],
    watching: Watching,
    depth: int,
) -> Iterator[Line]:
    own = tasks.get(goal.id, [])
    for task in own:
        # Branches come by the dozen: of theirs only what runs or went wrong is shown, the numbers tell the rest.
        if goal.status != "achieved" and (depth <= _DEEP or task.id in watching.holders or task.status in _LOUD):
            yield _task(task, watching, depth)
    begun_goals = watching.begun_goals
    for child in below.get(goal.id, ()):
        begun = child.id in begun_goals
        weight = {"open": 50 if begun else 30, "failed": 45}.get(child.status, 20)
        yield Line(_goal(child, depth, begun=begun), weight - depth if depth > 1 else 60)
        yield from _inside(child, below, tasks, watching, depth + 1)


def _root(goal: GoalView, view: MissionView) -> str:
    until = view.ended_at or datetime.now(UTC)
    elapsed = span((until - view.submitted_at).total_seconds()) if view.submitted_at else ""
    name = _padded(goal.title.partition("\n")[0], _NAME + 2)
    return f"[bold]{name}[/] {_bar(goal)} {_counts(goal)} [dim]{elapsed}[/]"


def _goal(goal: GoalView, depth: int, *, begun: bool) -> str:
    mark = _MARKS["waiting"] if goal.status == "open" and not begun else _MARKS.get(goal.status, " ")
    name = _padded(goal.title.partition("\n")[0], _NAME - 2 * depth + 2)
    style = "dim" if goal.status == "achieved" or not begun else "default"
    return f"{'  ' * depth}{mark} [{style}]{name}[/{style}]{_bar(goal)} {_counts(goal)}"


def _task(task: TaskView, watching: Watching, depth: int) -> Line:
    """What runs, with its time and its worker; else where it stands."""
    holder = None if watching.ended else watching.holders.get(task.id)
    name = _padded(task.title or task.id.rpartition(".")[2], _NAME - 2 * depth + 2)
    if holder is not None and task.status == "ready":
        elapsed = span((datetime.now(UTC) - holder.since).total_seconds())
        number = f"#{holder.attempt} " if holder.attempt > 1 else ""
        text = f"{'  ' * depth}[cyan]▸[/] {name}[cyan]{elapsed:<7}[/]  [dim]{number}{plain(_worker(holder.worker))}[/]"
        return Line(text, 90)
    detail = {"ready": "queued", "retrying": f"again, #{task.attempt + 1}"}.get(task.status, task.status)
    if watching.ended and task.status in ("ready", "retrying", "waiting"):
        detail = "not ended"
    if task.status == "failed":
        detail = plain(task.reason.partition("\n")[0])
    style = "dim" if task.status in ("waiting", "skipped", "cancelled", "succeeded") else "default"
    weight = {"retrying": 80, "ready": 40, "failed": 44}.get(task.status, 10)
    tint = "red" if task.status == "failed" else "dim"
    return Line(
        f"{'  ' * depth}{_MARKS.get(task.status, ' ')} [{style}]{name}[/{style}][{tint}]{detail}[/{tint}]", weight
    )


def _worker(name: str) -> str:
    """Host and process are what tells workers apart on a screen; the rest makes the name unique for ever."""
    return name.rpartition("-")[0] or name


def _bar(goal: GoalView) -> str:
    filled = round(goal.progress * _BAR) if goal.total else 0
    colour = {"achieved": "green", "failed": "red"}.get(goal.status, "cyan")
    return f"[{colour}]{'━' * filled}[/][bright_black]{'─' * (_BAR - filled)}[/]"


def _counts(goal: GoalView) -> str:
    ended = goal.succeeded + goal.failed
    lost = f" [red]{goal.failed} ✗[/]" if goal.failed else ""
    return f"[dim]{ended:>3}/{goal.total:<3}[/]{lost}" if goal.total else "[dim]  –[/]    "


def _padded(text: str, width: int) -> str:
    shown = " ".join(text.split())
    shown = shown if len(shown) < width else shown[: width - 2] + "…"
    return plain(shown.ljust(width))
