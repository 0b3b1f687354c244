"""A round counts only if every task ran exactly once, and after all that it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.shapes import Shape
from schemas.errors import StigmergyError


@dataclass(frozen=True)
class Execution:
    """One execution of one task, as the side recorded it.

    Attributes:
        ready_s, started_s, begun_s: when it could be sent, when a worker had it, when the agent's code began.
            Seconds on one clock of the side.
        began, ended: places in the side's own order: the log's (message, index), or (nanoseconds, 0).
    """

    task: str
    ready_s: float
    started_s: float
    begun_s: float
    began: tuple[int, int]
    ended: tuple[int, int]


class NotTheSameWork(StigmergyError):
    """A side did not do what the shape asks for, so its time says nothing."""

    code = "not_the_same_work"


def check(side: str, shape: Shape, executions: Sequence[Execution]) -> None:
    """Every task of the shape once, none else, none before what it needs. Raises :class:`NotTheSameWork`."""
    _exactly_once(side, shape, Counter(execution.task for execution in executions))
    known = {execution.task: execution for execution in executions}
    for task, needs in shape.needs.items():
        for need in needs:
            if known[need].ended > known[task].began:
                raise _wrong(side, shape, f"{task} began before {need} had ended")


def _exactly_once(side: str, shape: Shape, counts: Counter[str]) -> None:
    for task in shape.needs:
        if counts[task] != 1:
            raise _wrong(side, shape, f"{task} ran {counts[task]} times")
    if strangers := sorted(counts.keys() - shape.needs.keys()):
        raise _wrong(side, shape, f"{strangers[0]} ran, and is not part of it")


def _wrong(side: str, shape: Shape, what: str) -> NotTheSameWork:
    return NotTheSameWork(f"{side}, {shape.title}: {what}", hint="the round does not count; look for the cause first")
