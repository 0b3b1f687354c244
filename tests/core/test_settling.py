"""What ends an attempt is told to the sender: it counts what nobody has claimed yet, and holds back by that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from events.memory import MemoryLog
from events.signals import MemorySignals
from orchestrator.core.facts import Fact
from orchestrator.task_queue.dispatch import AttemptKey, Dispatch
from orchestrator.task_queue.floor import Floor, evolve
from orchestrator.task_queue.service import TaskQueueManager
from schemas.attempts import Failure, Given
from schemas.events import Payload
from schemas.events.action import ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.mission import MissionFailed
from schemas.events.task import TaskCancelled, TaskReady

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure(code="unclaimable", message="?")


class Sender:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.settled_: list[AttemptKey] = []
        self.finished_: list[AttemptKey] = []
        self.returned_: list[AttemptKey] = []

    def give(self, attempt: AttemptKey, queue: str, skill: str) -> Given | None:
        return None

    def send(self, dispatch: Dispatch) -> None:
        """Of no interest."""

    def again(self, dispatch: Dispatch) -> None:
        """Of no interest."""

    def settled(self, attempt: AttemptKey, queue: str = "", priority: int = 0) -> None:
        self.settled_.append(attempt)

    def passed(self, queue: str, priority: int, count: int) -> None:
        """Of no interest."""

    def finished(self, attempt: AttemptKey, worker: str, reads: Callable[[str], bool]) -> None:
        self.finished_.append(attempt)

    def returned(self, attempt: AttemptKey) -> None:
        self.returned_.append(attempt)

    def close(self) -> None:
        """Nothing to let go."""


def told(end: Payload) -> Sender:
    """The sender of a manager that has read of a ready attempt, and then this."""
    sender = Sender()
    manager = TaskQueueManager(MemoryLog(), MemorySignals(), lambda _: sender, name="q", clock=lambda: NOW)
    floor = evolve(Floor("t", "m"), Fact(TaskReady(task="a", attempt=1, skill="s"), NOW, 1))
    manager._on_fact(floor, Fact(end, NOW, 2))
    return sender


@pytest.mark.parametrize(
    "end",
    [
        AttemptStarted(task="a", attempt=1, worker="w", agent="x", skill="s"),
        ActionExpired(task="a", attempt=1, failure=FAILURE),
        TaskCancelled(task="a", reason="?"),
        MissionFailed(failure=FAILURE),
    ],
    ids=lambda end: str(end.TYPE),
)
async def test_an_attempt_that_need_not_be_claimed_any_more_is_settled(end: Payload) -> None:
    sender = told(end)
    assert sender.settled_ == [("t", "m", "a", 1)]


NOT_BEGUN = Failure(code="not_begun", message="?", retryable=True)


@pytest.mark.parametrize(
    "end",
    [
        AttemptFinished(task="a", attempt=1, worker="w", outcome="cancelled", failure=NOT_BEGUN),
        ActionExpired(task="a", attempt=1, worker="w", failure=NOT_BEGUN),
    ],
    ids=lambda end: str(end.TYPE),
)
async def test_who_gave_an_attempt_back_does_not_stand_by_for_the_next(end: Payload) -> None:
    sender = told(end)
    assert (sender.returned_, sender.finished_) == ([("t", "m", "a", 1)], [])
