"""What was not as expected in a mission, attempt by attempt, and what was done about it: folded from its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.budgets import EXCEEDED
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events import parse
from schemas.events.mission import MissionFailed
from schemas.events.task import TaskAnswered, TaskAsked, TaskFailed, TaskReady, TaskReplanned, TaskRetried, TaskStuck
from schemas.events.world import WorldTripped, WorldViolated
from schemas.expectations import Expectation


class ViolationRow(BaseModel):
    """One violation. ``expected`` is the expectation as it was when the attempt began; ``done`` is what followed."""

    model_config = ConfigDict(frozen=True)

    task: str
    attempt: int
    category: str
    kind: str
    expected: dict[str, Any]
    observed: str
    evidence: dict[str, Any]
    done: str


def violations_of(events: Iterable[Event]) -> list[ViolationRow]:
    """The violations of a mission in the order of the log; a safety constraint that was broken is one, too,
    and so is a budget that is spent."""
    rows: list[ViolationRow] = []
    expects: dict[tuple[str, int], tuple[Expectation, ...]] = {}
    for event in events:
        try:
            payload = parse(event)
        except InvalidEvent:
            continue
        match payload:
            case TaskReady():
                expects[payload.task, payload.attempt] = payload.expects
            case WorldViolated():
                rows += _rows(payload, expects.get((payload.task, payload.attempt), ()))
            case WorldTripped():
                rows.append(_tripped(payload))
            case TaskRetried():
                how = f"{payload.recovery or 'retry'}{f' by {payload.skill}' if payload.skill else ''}"
                rows = _done(rows, payload.task, payload.attempt - 1, f"{how}: attempt {payload.attempt}")
            case TaskAsked() | TaskAnswered() | TaskStuck() | TaskReplanned() | TaskFailed():
                rows = _done(rows, payload.task, payload.attempt, _followed(payload))
            case MissionFailed():
                rows = [row if row.done else row.model_copy(update={"done": "the mission failed"}) for row in rows]
    return rows


def _followed(payload: TaskAsked | TaskAnswered | TaskStuck | TaskReplanned | TaskFailed) -> str:
    match payload:
        case TaskAsked():
            return "asked; waits for an answer"
        case TaskAnswered():
            return f"asked; answered: {payload.decision}"
        case TaskStuck():
            return "asked the planner; waits for its answer"
        case TaskReplanned():
            return f"replaced by {', '.join(part.id for part in payload.tasks)}"
        case TaskFailed():
            return "the task failed"


def _rows(payload: WorldViolated, expects: tuple[Expectation, ...]) -> list[ViolationRow]:
    wanted: dict[str, dict[str, Any]] = {one.kind: one.model_dump(mode="json", exclude={"kind"}) for one in expects}
    return [
        ViolationRow(
            task=payload.task,
            attempt=payload.attempt,
            category=violation.category,
            kind=violation.kind,
            expected=wanted.get(violation.kind, {}),
            observed=violation.message,
            evidence=violation.evidence,
            done="",
        )
        for violation in payload.violations
    ]


def _tripped(payload: WorldTripped) -> ViolationRow:
    name, _, rule = payload.rule.partition(": ")
    return ViolationRow(
        task=payload.task,
        attempt=payload.attempt,
        category="budget" if payload.spent else "safety",
        kind=EXCEEDED if payload.spent else name,
        expected=payload.evidence["limits"] if payload.spent else {"never": rule},
        observed=payload.message,
        evidence=payload.evidence,
        done="the mission was stopped",
    )


def _done(rows: list[ViolationRow], task: str, attempt: int, what: str) -> list[ViolationRow]:
    def is_it(row: ViolationRow) -> bool:
        return (row.task, row.attempt) == (task, attempt) and row.category not in ("safety", "budget")

    return [row.model_copy(update={"done": what}) if is_it(row) else row for row in rows]
