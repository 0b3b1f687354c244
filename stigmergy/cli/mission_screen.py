"""One mission on a terminal: where it stands, its goals and tasks, what came of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from schemas.budgets import UNITS, told
from stigmergy.cli.screen import ago, counted, plain, size, span, status, table
from stigmergy.cli.sentences import short

if TYPE_CHECKING:
    from rich.console import Console

    from stigmergy.missions import MissionView, TaskView

_MOST_TASKS = 60
_MOST_DEATHS = 20
_MOST_VALUE = 200


def show_mission(view: MissionView, console: Console, now: datetime | None = None) -> None:
    """Print it; as it was at ``now``, if that is not the present."""
    moment = now or datetime.now(UTC)
    console.print(f"[bold]{short(view.objective)}[/]")
    console.print(f"  {status(view.status)}  [dim]{_when(view, moment)}[/]")
    console.print(f"  [dim]mission {view.id}, workflow {plain(view.workflow) or '(a plan made by hand)'}[/]")
    if view.strategy is not None:
        console.print(f"  [dim]strategy {view.strategy.name}: {plain(view.strategy.because)}[/]", soft_wrap=True)
    if view.forked_from:
        reused = sum(task.reused_from is not None for task in view.tasks)
        taken = f", {counted(reused, 'task')} taken over from there"
        console.print(f"  [dim]forked from {plain(view.forked_from)}{taken}[/]")
    if view.reason:
        console.print(f"  {short(view.reason, 500)}", soft_wrap=True)
    if view.budget:
        console.print(f"  [dim]spent[/] {told(view.budget, view.budget, view.spent)}", soft_wrap=True)
    if spent := told((unit for unit in UNITS if unit in view.spent and unit not in view.budget), {}, view.spent):
        console.print(f"  [dim]{'spent as well' if view.budget else 'spent'} {spent}[/]", soft_wrap=True)
    console.print()
    console.print(_goals(view))
    console.print()
    console.print(_tasks(view, moment))
    if len(view.tasks) > _MOST_TASKS:
        console.print(f"[dim]  … and {counted(len(view.tasks) - _MOST_TASKS, 'more task')}: --json shows all[/]")
    if view.ballots:
        console.print()
        console.print(_ballots(view))
    _show_deaths(view, console)
    if view.result:
        console.print("\n[dim]result[/]")
        for name, value in view.result.items():
            console.print(f"  {plain(name)}: {_value(value)}", soft_wrap=True)


def _show_deaths(view: MissionView, console: Console) -> None:
    lost = [(task, death) for task in view.tasks for death in task.deaths]
    if not lost:
        return
    console.print("\n[dim]workers lost[/]")
    rows = table("task", "attempt", "worker", "when", "", right=("attempt",))
    for task, death in lost[:_MOST_DEATHS]:
        said = short(death.message, 80)
        rows.add_row(plain(task.id), str(death.attempt), plain(death.worker), ago(death.at), said)
    console.print(rows)
    if len(lost) > _MOST_DEATHS:
        console.print(f"[dim]  … and {counted(len(lost) - _MOST_DEATHS, 'more')}: --json shows all[/]")


def _when(view: MissionView, now: datetime) -> str:
    if view.submitted_at is None:
        return ""
    took = ((view.ended_at or now) - view.submitted_at).total_seconds()
    return f"begun {ago(view.submitted_at)}, {'took' if view.ended_at else 'runs for'} {span(took)}"


def _goals(view: MissionView) -> object:
    depths: dict[str, int] = {}
    rows = table("goal", "status", "tasks", right=("tasks",))
    for goal in view.goals:  # parents come before their children
        depths[goal.id] = depths[goal.parent] + 1 if goal.parent is not None else 0
    children: dict[str | None, list[int]] = {}
    for number, goal in enumerate(view.goals):
        children.setdefault(goal.parent, []).append(number)
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        goal = view.goals[waiting.pop()]
        waiting += reversed(children.get(goal.id, []))
        name = f"{'  ' * depths[goal.id]}{short(goal.title, 60)}"
        failed = f" [red]{goal.failed} ✗[/]" if goal.failed else ""
        rows.add_row(name, status(goal.status), f"{goal.succeeded}/{goal.total}{failed}")
    return rows


def _tasks(view: MissionView, now: datetime) -> object:
    rows = table(
        "task", "skill", "status", "attempt", "took", "cpu", "memory", "", right=("attempt", "took", "cpu", "memory")
    )
    for task in view.tasks[:_MOST_TASKS]:
        number = str(task.attempt) if task.attempt else ""
        used = (span(task.cpu_s) if task.cpu_s else "", size(task.peak_memory_bytes) if task.peak_memory_bytes else "")
        rows.add_row(plain(task.id), _skill(task), status(task.status), number, _took(task, now), *used, _why(task))
    return rows


def _ballots(view: MissionView) -> object:
    rows = table("ballot", "status", "choice", "votes", "question", right=("votes",))
    for ballot in view.ballots:
        voted = f"{ballot.voted}/{ballot.members}"
        rows.add_row(plain(ballot.id), ballot.status, plain(ballot.choice), voted, short(ballot.question, 80))
    return rows


def _skill(task: TaskView) -> str:
    """Who has it, and by which way it came there; an offer that came back has gone no way."""
    turns = task.handed[:-1] if task.returned else task.handed
    return "[dim] → [/]".join(plain(name) for name in [*(turn.skill for turn in turns), task.skill])


def _why(task: TaskView) -> str:
    if task.replaced_by and task.status in ("replaced", "succeeded"):
        return f"[dim]replaced by[/] {short(', '.join(task.replaced_by), 80)}"
    if task.waits_for and not task.reason:
        return f"[dim]waits for[/] {short(task.waits_for, 80)}"
    if task.reason or not task.handed:
        return f"[dim]reused[/] {short(task.reason, 80)}" if task.reused_from else short(task.reason, 80)
    last = task.handed[-1]
    return f"[dim]{short(task.returned or f'handed over by {last.skill}: {last.why}', 80)}[/]"


def _took(task: TaskView, now: datetime) -> str:
    if task.started_at is None:
        return ""
    until = task.ended_at or now
    return span((until - task.started_at).total_seconds())


def _value(value: object) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(shown) <= _MOST_VALUE:
        return short(shown, _MOST_VALUE)
    return f"{short(shown, _MOST_VALUE // 2)} [dim]({counted(len(shown), 'character')}; --json shows all)[/]"
