"""What ``stig world`` prints: tables, with the event they are as of."""

from __future__ import annotations

from typing import Any

import typer

from projections.world.queries import Answer, FileView, Summary
from projections.world.state import Agent, MissionState, TaskState, TestState
from stigmergy.cli import screen

_SHORT = 10
_LONG = 40


def as_of(answer: Answer[Any]) -> None:
    """The line below every table."""
    typer.echo(f"as of event {answer.position:,}")


def summary(answer: Answer[Summary]) -> None:
    """A tenant at a glance."""
    value = answer.value
    for name, counts in (("missions", value.missions), ("agents", value.agents), ("open tasks", value.tasks)):
        typer.echo(f"{name:<11} {_counts(counts) or 'none'}")
    typer.echo(f"{'spent':<11} {_amounts(value.spent) or 'nothing'}")
    if value.unreadable:
        typer.echo(f"{screen.counted(value.unreadable, 'event')} could not be read by this release and changed nothing")
    as_of(answer)


def mission(answer: Answer[dict[str, Any]]) -> None:
    """One mission and its tasks."""
    state: MissionState | None = answer.value["mission"]
    if state is None:
        typer.echo("the model has no such mission (any more)")
        as_of(answer)
        return
    console = screen.out()
    console.print(f"{screen.plain(state.objective)}  {screen.status(state.status)}  {screen.plain(state.reason)}")
    typer.echo(f"tasks: {_counts(state.tasks)}; violations: {state.violations}")
    typer.echo(f"spent: {_amounts(state.budget.spent) or 'nothing'}; limits: {_amounts(state.budget.limits) or 'none'}")
    if state.head:
        typer.echo(f"tree: {state.head[:_SHORT]}, began with {state.root[:_SHORT]}")
    if state.suite is not None:
        suite = state.suite
        typer.echo(f"tests: {suite.outcome}, {suite.passed} passed, {suite.failed} failed, by {suite.task}")
    table = screen.table(
        "task", "status", "attempt", "skill", "worker", "took", "cpu", "memory", "reason", right=_NUMBERS
    )
    for task in answer.value["tasks"]:
        table.add_row(*_task(task))
    console.print(table)
    as_of(answer)


def files(answer: Answer[tuple[FileView, ...]]) -> None:
    """Files of a mission."""
    table = screen.table("path", "change", "content", "written by", "attempt", "claimed by", right=("attempt",))
    for file in answer.value:
        path, task, claimed = map(screen.plain, (file.path, file.task, ", ".join(file.claimed_by)))
        table.add_row(path, file.change, file.content[:_SHORT], task, str(file.attempt), claimed)
    screen.out().print(table)
    as_of(answer)


def tests(answer: Answer[tuple[TestState, ...]]) -> None:
    """Tests of a mission."""
    table = screen.table("test", "last", "flaky", "passed", "failed", "mean", right=("passed", "failed", "mean"))
    for test in answer.value:
        flaky = "[yellow]flaky[/]" if test.flaky else ""
        mean = screen.span(test.seconds / max(1, test.passed + test.failed))
        outcome = screen.status(test.outcome)
        table.add_row(screen.plain(test.id), outcome, flaky, str(test.passed), str(test.failed), mean)
    screen.out().print(table)
    as_of(answer)


def agents(answer: Answer[tuple[Agent, ...]]) -> None:
    """Workers."""
    table = screen.table("worker", "status", "running", "good", "bad", "skills", right=("good", "bad"))
    for agent in answer.value:
        running = ", ".join(f"{task} #{attempt}" for _, task, attempt in agent.running)
        good, bad = (str(sum(numbers[side] for numbers in agent.outcomes.values())) for side in (0, 1))
        status, skills = screen.status(agent.status.value), screen.plain(_cut(", ".join(agent.skills)))
        table.add_row(screen.plain(agent.worker), status, screen.plain(_cut(running)), good, bad, skills)
    screen.out().print(table)
    as_of(answer)


_NUMBERS = ("attempt", "took", "cpu", "memory")


def _task(task: TaskState) -> tuple[str, ...]:
    name, reason = screen.plain(task.id), screen.plain(_cut(task.reason))
    took = screen.span(task.seconds) if task.seconds else ""
    cpu = screen.span(task.cpu_s) if task.cpu_s else ""
    memory = screen.size(task.peak_memory_bytes) if task.peak_memory_bytes else ""
    return name, screen.status(task.status.value), str(task.attempt), task.skill, task.worker, took, cpu, memory, reason


def _cut(text: str) -> str:
    """A long list must not squeeze the other columns."""
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))


def _amounts(amounts: dict[str, float]) -> str:
    return ", ".join(f"{number:,.6g} {unit}" for unit, number in sorted(amounts.items()))
