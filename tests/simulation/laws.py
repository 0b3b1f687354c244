"""The laws: what may be said at all, given everything that was said before.

One function for each type of event that has laws; :data:`LAWS` is the table. A new invariant goes where the event is
handled that would break it, or into :meth:`~tests.simulation.checker.Checker.at_the_end`.

Deciders of one mission may overtake each other where they write different nouns: one records the end while the other,
who has not read it yet, records that a task is ready. That is no harm, and the fold leaves it out. But nobody may do so
*knowing* of the end: each decision names the newest event it knew as its cause.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from orchestrator.core.recovery import QUARANTINED
from orchestrator.task_queue.situation import GRACE_S
from schemas.attempts import Failure
from schemas.events import Payload
from schemas.events import action as actions
from schemas.events import attempt as attempts
from schemas.events import goal as goals
from schemas.events import mission as missions
from schemas.events import task as tasks
from schemas.events import world as worlds
from schemas.plan import ROOT_GOAL, Group, TaskSpec
from tests.simulation import waits
from tests.simulation.ledger import Book, Broken, Place, TaskBook, holds

_PACE = 0.999
"""Monotonic clocks do not run at quite the right pace."""


class Said:
    """One event as the laws see it: ``known`` is the place of the newest event that its author knew, ``at``
    what its author's clock said, ``true_s`` the true time at which the log took it, in seconds."""

    def __init__(
        self, book: Book, payload: Any, place: Place, known: Place | None, cause: str, at: datetime, true_s: float
    ) -> None:
        self.true_s = true_s
        self.book, self.payload, self.place, self.known, self.cause = book, payload, place, known, cause
        self.at = at

    def need(self, good: bool, law: str, detail: str = "") -> None:
        """Raise :class:`Broken` unless it is good."""
        if not good:
            about = f"{self.payload.TYPE} {' '.join(self.payload.identity())} at {self.place[0]}.{self.place[1]}"
            raise Broken(law, self.book.key, f"{about} {detail}".rstrip())

    def knew(self, place: Place) -> bool:
        """Whether the author had read what stands at this place."""
        return self.known is not None and self.known >= place

    def task(self) -> TaskBook:
        """The task it is about."""
        self.need(self.payload.task in self.book.tasks, "only tasks of the plan are spoken of")
        return self.book.tasks[self.payload.task]


def _still_open(said: Said) -> bool:
    """Whether the mission goes on; nobody may decide about its tasks who knows that it does not."""
    book = said.book
    said.need(book.plan is not None, "nothing is decided before there is a plan")
    if not book.ended:
        return True
    said.need(not said.knew(book.ended_at), "nobody goes on with a mission that has ended", book.ended)
    return False


def _ready(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not _still_open(said):
        return
    if book.paused_at is not None:
        said.need(not said.knew(book.paused_at), "nothing starts in a paused mission")
    if (given_up := book.given_up(task.spec.goal)) is not None:
        said.need(not said.knew(given_up.ended_at), "nothing starts below a goal that has failed", given_up.spec.id)
    said.need(not task.ended, "what has ended does not start again", task.ended)
    said.need(event.attempt == task.attempt + 1, "attempts count one by one", f"after {task.attempt}")
    said.need(event.attempt <= task.granted, "only a granted attempt is made", f"granted {task.granted}")
    task.attempt = event.attempt
    task.ready_at[event.attempt] = said.true_s
    said.need(task.made <= task.spec.retry.max_attempts, "the budget of attempts is kept", f"made {task.made}")
    if task.spec.barrier is None or event.task not in book.begun:  # its time has passed once, by whoever's clock
        _may_begin(said, task.spec, event.needs_met, "no task starts before")
    book.begin_task(event.task, said.at)


def _may_begin(said: Said, spec: TaskSpec | Group, met: tuple[str, ...] | None, law: str) -> None:
    if spec.barrier is not None:
        lacking = waits.lacking(said.book, spec, met, said.at)
        said.need(not lacking, f"{law} its barrier holds", lacking)
        return
    missing = [need for need in spec.needs if not said.book.came_about(need)]
    said.need(not missing, f"{law} what it needs", ", ".join(missing))


def _retried(said: Said) -> None:
    task, event = said.task(), said.payload
    if not _still_open(said):
        return
    failure = _failed_verdict(said, task, task.attempt)
    said.need(not task.ended, "what has ended does not start again", task.ended)
    said.need(event.attempt == task.attempt + 1, "attempts count one by one")
    said.need(event.attempt > task.granted, "an attempt is granted once")
    said.need(failure.retryable, "only what may succeed is tried again", failure.code)
    said.need(task.made < task.spec.retry.max_attempts, "the budget of attempts is kept", f"made {task.made}")
    task.granted = event.attempt


def _failed_verdict(said: Said, task: TaskBook, attempt: int) -> Failure:
    verdict = task.verdicts.get(attempt)
    said.need(verdict is not None, "only a failed attempt is a failure")
    assert verdict is not None
    return verdict


def _succeeded(said: Said) -> None:
    task, event = said.task(), said.payload
    _still_open(said)
    said.need(event.attempt not in task.counted, "no attempt is counted twice")
    said.need(not task.ended, "a task ends once", task.ended)
    said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
    report = task.reports.get(event.attempt)
    said.need(report is not None and report.outcome == "succeeded", "nothing is done that nobody reported")
    assert report is not None
    said.need(holds(task.spec, report), "nothing is done with an open violation")
    said.need(event.attempt in task.verdicts, "nothing is done that was not confirmed")
    said.need(task.verdicts[event.attempt] is None, "nothing is done whose attempt failed")
    task.counted.add(event.attempt)
    task.ended = "succeeded"


def _adopted(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    _still_open(said)
    said.need(not task.ended, "a task ends once", task.ended)
    said.need(task.attempt == 0, "what was begun here is not taken over")
    if event.failure is None:
        _may_begin(said, task.spec, event.needs_met or None, "nothing is taken over before")
    book.begin_task(event.task, said.at)
    task.attempt = event.attempt
    task.ended = "succeeded" if event.failure is None else "failed"


def _failed(said: Said) -> None:
    task, event = said.task(), said.payload
    _still_open(said)
    said.need(not task.ended, "a task ends once", task.ended)
    if event.attempt == task.attempt + 1:  # it could not even begin
        said.need(not event.failure.retryable, "nothing is given up that may be tried again")
    else:
        said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
        failure = _failed_verdict(said, task, event.attempt)
        spent = task.made >= task.spec.retry.max_attempts
        deadly = event.failure.code == QUARANTINED and task.deaths >= task.spec.retry.max_deaths
        said.need(
            spent or deadly or not failure.retryable, "nothing is given up that may be tried again", f"made {task.made}"
        )
    task.ended = "failed"


def _skipped(said: Said) -> None:
    task = said.task()
    _still_open(said)
    said.need(not task.ended, "a task ends once", task.ended)
    if task.spec.barrier is not None:
        lost = waits.hopeless(said.book, task.spec)
    else:
        lost = any(said.book.lost(need) for need in task.spec.needs)
    said.need(lost, "nothing is skipped that could run")
    task.ended = "skipped"


def _cancelled(said: Said) -> None:
    task = said.task()
    said.need(not task.ended, "a task ends once", task.ended)
    task.ended = "cancelled"


def _dispatched(said: Said) -> None:
    task, event = said.task(), said.payload
    said.need(0 < event.attempt <= task.attempt, "only what is ready is dispatched")
    said.need(event.attempt not in task.dispatched, "an attempt is dispatched once")
    said.need(event.order.task == event.task and event.order.attempt == event.attempt, "the order is that of its task")
    task.dispatched.add(event.attempt)


def _started(said: Said) -> None:
    task, event = said.task(), said.payload
    said.need(event.attempt in task.dispatched, "nobody starts what is not on record as dispatched")
    said.need(event.attempt not in task.workers, "an attempt has one worker")
    task.workers[event.attempt] = event.worker
    task.began_at[event.attempt] = said.true_s


def _finished(said: Said) -> None:
    task, event = said.task(), said.payload
    said.need(task.workers.get(event.attempt) == event.worker, "only who has claimed an attempt reports it")
    task.reports.setdefault(event.attempt, event)
    if event.outcome != "succeeded":
        task.judge(event.attempt, event.failure or Failure(code=event.outcome, message="it did not succeed"))


def _confirmed(said: Said) -> None:
    task, event = said.task(), said.payload
    report = task.reports.get(event.attempt)
    said.need(report is not None and report.outcome == "succeeded", "only what was reported is confirmed")
    assert report is not None
    said.need(holds(task.spec, report), "no violation is confirmed")
    task.judge(event.attempt, None)


def _violated(said: Said) -> None:
    task, event = said.task(), said.payload
    report = task.reports.get(event.attempt)
    said.need(report is not None and report.outcome == "succeeded", "only what was reported is objected to")
    assert report is not None
    said.need(not holds(task.spec, report), "nothing is objected to that is as expected")
    again = task.spec.retry.on_violation
    task.judge(event.attempt, Failure(code="violated", message="violated", retryable=again))


def _action_failed(said: Said) -> None:
    task, event = said.task(), said.payload
    said.need(0 < event.attempt <= task.attempt, "only what was announced can fail")
    if event.failure.code == "timed_out":
        ran_s = said.true_s - task.began_at[event.attempt]
        said.need(
            ran_s >= task.spec.timeout_s, "no time is up before its time, whatever the calendars say", f"{ran_s:.1f} s"
        )
    if event.failure.code == "unknown_skill":
        waited_s = said.true_s - task.ready_at[event.attempt]
        said.need(
            waited_s >= GRACE_S * _PACE, "a task waits out its grace, whatever the calendars say", f"{waited_s:.1f} s"
        )
    task.judge(event.attempt, event.failure)


def _goal_achieved(said: Said) -> None:
    book, goal = said.book, said.payload.goal
    if not _goal_ends(said, "achieved"):
        return
    said.need(all(task.ended for _, task in book.below(goal)), "no goal is achieved with tasks open below it")
    rest = [name for name in book.groups if name not in book.branches and goal in book.path(name)]
    rest = [name for name in rest if not book.given_up(name)]
    said.need(not rest, "no goal is achieved with groups still to unfold", ", ".join(rest))
    threshold = book.goals[goal].spec.error_threshold
    said.need(book.failures(goal) <= threshold, "no goal is achieved beyond its error threshold")


def _goal_failed(said: Said) -> None:
    book, goal = said.book, said.payload.goal
    if not _goal_ends(said, "failed"):
        return
    spec = book.goals[goal].spec
    reason = (
        book.failures(goal) > spec.error_threshold
        or spec.deadline_s is not None
        or (goal in book.groups and goal not in book.branches)
        or (spec.parent is not None and book.given_up(spec.parent) is not None)
    )
    said.need(reason, "no goal fails without a reason")


def _goal_ends(said: Said, how: str) -> bool:
    """Whether it counts: not after the mission's end, which its author may not have read yet."""
    book, event = said.book, said.payload
    said.need(event.goal in book.goals, "only goals of the plan are spoken of")
    if not _still_open(said):
        return False
    goal = book.goals[event.goal]
    said.need(not goal.ended, "a goal ends once", goal.ended)
    goal.ended, goal.ended_at = how, said.place
    return True


def _submitted(said: Said) -> None:
    said.need(not said.book.submission, "a mission is submitted once")
    said.book.submission = said.cause


def _planned(said: Said) -> None:
    said.need(bool(said.book.submission) and said.book.plan is None, "a mission is planned once")
    said.book.begin(said.payload.plan)
    said.book.began = said.payload.planned_at


def _extended(said: Said) -> None:
    book, event = said.book, said.payload
    _open(said)
    said.need(event.group in book.groups and event.group not in book.branches, "a group unfolds once")
    _may_begin(said, book.groups[event.group], None, "no group unfolds before")
    if (given_up := book.given_up(event.group)) is not None:
        said.need(not said.knew(given_up.ended_at), "no group unfolds below a goal that has failed")
        return  # it came too late, and the fold leaves it out
    book.extend(event)


def _open(said: Said) -> None:
    book = said.book
    said.need(book.plan is not None, "nothing is decided before there is a plan")
    said.need(not book.ended, "after a mission's end nothing is said of it", book.ended)


def _paused(said: Said) -> None:
    _open(said)
    said.need(said.book.paused_at is None, "a mission is paused once")
    _once(said)
    said.book.paused_at = said.place


def _resumed(said: Said) -> None:
    _open(said)
    said.need(said.book.paused_at is not None, "only a paused mission is resumed")
    _once(said)
    said.book.paused_at = None


def _reopened(said: Said) -> None:
    said.need(said.book.ended == "failed", "only a failed mission is reopened", said.book.ended)
    _once(said)
    said.book.reopen(said.payload.tasks)
    said.book.began = said.at


def _once(said: Said) -> None:
    said.need(said.cause not in said.book.carried_out, "a command is carried out once")
    said.book.carried_out.add(said.cause)


def _completed(said: Said) -> None:
    book = said.book
    _open(said)
    rest = [name for name, task in book.tasks.items() if not task.ended]
    said.need(not rest, "no mission is completed with tasks open", ", ".join(rest))
    groups = [name for name in book.groups if name not in book.branches and not book.given_up(name)]
    said.need(not groups, "no mission is completed with groups still to unfold", ", ".join(groups))
    said.need(book.failures(ROOT_GOAL) == 0, "no mission is completed with a failure")
    going = [name for name, goal in book.goals.items() if name != ROOT_GOAL and not goal.ended]
    said.need(not going, "no mission is completed with goals open", ", ".join(going))
    _end(said, "completed")


def _mission_failed(said: Said) -> None:
    book = said.book
    _open(said)
    rest = [name for name, task in book.tasks.items() if not task.ended]
    said.need(not rest, "no mission fails with tasks open", ", ".join(rest))
    late = book.plan is not None and book.plan.deadline_s is not None
    said.need(late or book.failures(ROOT_GOAL) > 0, "no mission fails without a reason")
    _end(said, "failed")


def _mission_cancelled(said: Said) -> None:
    said.need(not said.book.ended, "after a mission's end nothing is said of it", said.book.ended)
    _end(said, "cancelled")


def _end(said: Said, how: str) -> None:
    said.book.ended, said.book.ended_at = how, said.place


LAWS: dict[type[Payload], Callable[[Said], None]] = {
    missions.MissionSubmitted: _submitted,
    missions.MissionPlanned: _planned,
    missions.MissionExtended: _extended,
    missions.MissionPaused: _paused,
    missions.MissionResumed: _resumed,
    missions.MissionReopened: _reopened,
    missions.MissionCompleted: _completed,
    missions.MissionFailed: _mission_failed,
    missions.MissionCancelled: _mission_cancelled,
    tasks.TaskReady: _ready,
    tasks.TaskRetried: _retried,
    tasks.TaskAdopted: _adopted,
    tasks.TaskSucceeded: _succeeded,
    tasks.TaskFailed: _failed,
    tasks.TaskSkipped: _skipped,
    tasks.TaskCancelled: _cancelled,
    goals.GoalAchieved: _goal_achieved,
    goals.GoalFailed: _goal_failed,
    actions.ActionDispatched: _dispatched,
    actions.ActionExpired: _action_failed,
    actions.ActionRefused: _action_failed,
    attempts.AttemptStarted: _started,
    attempts.AttemptFinished: _finished,
    worlds.WorldConfirmed: _confirmed,
    worlds.WorldViolated: _violated,
}
