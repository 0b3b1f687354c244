"""The laws: what may be said at all, given everything that was said before.

One function for each type of event that has laws; :data:`LAWS` is the table. A new invariant goes where the event is
handled that would break it, or into :meth:`~tests.simulation.checker.Checker.at_the_end`.

Deciders of one mission may overtake each other where they write different nouns: one records the end while the other,
who has not read it yet, records that a task is ready. That is no harm, and the fold leaves it out. But nobody may do so
*knowing* of the end: each decision names the newest event it knew as its cause.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.handing import EXHAUSTED
from orchestrator.core.recovery import QUARANTINED, WORKER_LOST
from orchestrator.task_queue.situation import GRACE_S
from schemas.attempts import Failure
from schemas.errors import UNCOUNTED, Cancelled, NotBegun
from schemas.events import Payload
from schemas.events import action as actions
from schemas.events import attempt as attempts
from schemas.events import task as tasks
from schemas.events import world as worlds
from tests.simulation import instead, waits
from tests.simulation.ledger import TaskBook
from tests.simulation.mission_laws import MISSION_LAWS
from tests.simulation.said import Said, may_begin, once, still_open

_PACE = 0.999
"""Monotonic clocks do not run at quite the right pace."""


def _ready(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not still_open(said):
        return
    if book.paused_at is not None:
        said.need(not said.knew(book.paused_at), "nothing starts in a paused mission")
    if (given_up := book.given_up(task.spec.goal)) is not None:
        said.need(not said.knew(given_up.ended_at), "nothing starts below a goal that has failed", given_up.spec.id)
    said.need(not task.ended, "what has ended does not start again", task.ended)
    said.need(not task.asking, "a task that waits for a person is moved by an answer alone")
    said.need(event.attempt == task.attempt + 1, "attempts count one by one", f"after {task.attempt}")
    said.need(event.attempt <= task.granted, "only a granted attempt is made", f"granted {task.granted}")
    instead.for_somebody(said)
    instead.goes_another_way(said, task)
    task.attempt = event.attempt
    task.ready_at[event.attempt] = said.true_s
    said.need(task.made <= task.most(), "the budget of attempts is kept", f"made {task.made}")
    said.need(event.skill == task.skill, "whoever the rule names tries it", event.skill)
    said.need(event.advice == task.advice, "the next attempt is told what was answered", event.advice)
    if task.spec.barrier is None or event.task not in book.begun:  # its time has passed once, by whoever's clock
        may_begin(said, task.spec, event.needs_met, "no task starts before")
    book.begin_task(event.task, said.at)


def _retried(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not still_open(said):
        return
    failure = _failed_verdict(said, task, task.attempt)
    said.need(not task.ended, "what has ended does not start again", task.ended)
    said.need(not task.asking, "a task that waits for a person is moved by an answer alone")
    said.need(event.attempt == task.attempt + 1, "attempts count one by one")
    said.need(event.attempt > task.granted, "an attempt is granted once")
    instead.goes_another_way(said, task)
    number, rule = book.rule_for(task)
    spared = failure.code in UNCOUNTED
    if not spared and rule is not None:
        said.need(event.recovery == rule.do and event.rule == number, "the first rule that fits is followed", rule.do)
        told = bool(event.feedback)
        said.need(told == (rule.do != "roll_back"), "whoever tries again is told what was wrong", rule.do)
        task.recovered.append(number)
        task.skill = rule.skill or task.skill
        spared = True
    elif not spared:
        deadly = failure.code == WORKER_LOST and len(task.deaths) >= task.spec.retry.max_deaths
        said.need(not deadly, "what has killed its share of workers kills no more", str(task.deaths))
        said.need(not event.recovery, "a rule is followed only where it fits", event.recovery)
        said.need(failure.retryable, "only what may succeed is tried again", failure.code)
        said.need(task.made < task.most(failure.code), "the budget of attempts is kept", f"made {task.made}")
    task.spared += spared
    task.advice, task.granted = "", event.attempt


def _failed_verdict(said: Said, task: TaskBook, attempt: int) -> Failure:
    verdict = task.verdicts.get(attempt)
    said.need(verdict is not None, "only a failed attempt is a failure")
    assert verdict is not None
    return verdict


def _asked(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not still_open(said):
        return
    said.need(not task.ended and not task.asking, "a question is asked once")
    said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
    _failed_verdict(said, task, event.attempt)
    instead.goes_another_way(said, task)
    number, rule = book.rule_for(task)
    good = rule is not None and rule.do == "ask" and event.rule == number
    said.need(good, "nobody is asked unless a rule says so")
    task.recovered.append(number)
    task.asking = event.attempt


def _answered(said: Said) -> None:
    task, event = said.task(), said.payload
    if not still_open(said):
        return
    once(said)
    said.need(task.asking == event.attempt > 0, "only a question is answered", f"asking {task.asking}")
    task.asking = 0
    if event.decision == "fail":
        task.refused = event.attempt
        return
    task.spared += 1
    task.granted, task.advice = event.attempt + 1, event.advice


def _succeeded(said: Said) -> None:
    task, event = said.task(), said.payload
    still_open(said)
    if task.end:
        instead.succeeded_by_parts(said, task)
        return
    said.need(event.attempt not in task.counted, "no attempt is counted twice")
    said.need(not task.ended, "a task ends once", task.ended)
    said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
    report = task.reports.get(event.attempt)
    said.need(report is not None and report.outcome == "succeeded", "nothing is done that nobody reported")
    assert report is not None
    said.need(not task.flaws(event.attempt), "nothing is done with an open violation")
    said.need(event.attempt in task.verdicts, "nothing is done that was not confirmed")
    said.need(task.verdicts[event.attempt] is None, "nothing is done whose attempt failed")
    task.counted.add(event.attempt)
    task.ended = "succeeded"


def _adopted(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    still_open(said)
    said.need(not task.ended, "a task ends once", task.ended)
    said.need(task.attempt == 0, "what was begun here is not taken over")
    if event.failure is None:
        may_begin(said, task.spec, event.needs_met or None, "nothing is taken over before")
    book.begin_task(event.task, said.at)
    task.attempt = event.attempt
    task.ended = "succeeded" if event.failure is None else "failed"


def _failed(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    still_open(said)
    said.need(not task.ended, "a task ends once", task.ended)
    said.need(not task.asking, "a task that waits for a person is moved by an answer alone")
    if event.attempt == task.attempt + 1:  # it could not even begin
        said.need(not event.failure.retryable, "nothing is given up that may be tried again")
    elif task.refused != event.attempt:
        said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
        if event.failure.code == EXHAUSTED:
            said.need(task.verdicts.get(event.attempt, event) is None, "only a confirmed offer is one too many")
            task.ended = "failed"
            return
        failure = _failed_verdict(said, task, event.attempt)
        said.need(failure.code not in UNCOUNTED, "what a stop ended, or nobody began, is tried again")
        _, rule = book.rule_for(task)
        hopeless = rule is not None and (rule.do == "fail" or (rule.do == "other_agent" and not rule.skill))
        hopeless = instead.has_no_way(said, task, rule) or hopeless
        said.need(rule is None or hopeless, "the first rule that fits is followed", rule.do if rule else "")
        spent = task.made >= task.most(failure.code)
        deadly = event.failure.code == QUARANTINED and len(task.deaths) >= task.spec.retry.max_deaths
        good = hopeless or spent or deadly or not failure.retryable
        said.need(good, "nothing is given up that may be tried again", f"made {task.made}")
    if event.failure.code == QUARANTINED:
        shown = [(death.attempt, death.worker) for death in event.deaths]
        said.need(shown == task.deaths, "a quarantined task shows all its deaths", f"{shown}, not {task.deaths}")
    task.ended = "failed"


def _skipped(said: Said) -> None:
    task = said.task()
    still_open(said)
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
    if event.order.given is not None:
        task.given[event.attempt] = event.order.given.worker
        task.began_at[event.attempt] = said.true_s


def _started(said: Said) -> None:
    task, event = said.task(), said.payload
    said.need(event.attempt in task.dispatched, "nobody starts what is not on record as dispatched")
    said.need(event.attempt not in task.workers, "an attempt has one worker")
    said.need(task.given.get(event.attempt, event.worker) == event.worker, "what is given to one is nobody else's")
    task.workers[event.attempt] = event.worker
    task.began_at.setdefault(event.attempt, said.true_s)


def _finished(said: Said) -> None:
    task, event = said.task(), said.payload
    holder = task.given.get(event.attempt, task.workers.get(event.attempt))
    said.need(holder == event.worker, "only who has claimed an attempt, or was given it, reports it")
    if event.failure is not None and event.failure.code == NotBegun.code:
        said.need(event.attempt in task.given, "only what was given is given back")
        said.need(event.attempt not in task.begun, "what was begun is not given back")
    counts = event.attempt == task.attempt and event.attempt not in task.verdicts and not task.ended
    if counts and not said.book.ended and event.failure is not None:
        said.need(event.failure.code != Cancelled.code, "nobody is stopped whose attempt counts", str(event.failure))
    task.reports.setdefault(event.attempt, event)
    if not event.wants_verdict:
        task.judge(event.attempt, event.failure or Failure(code=event.outcome, message="it did not succeed"))


def _confirmed(said: Said) -> None:
    task, event = said.task(), said.payload
    _reported(said, task)
    said.need(not task.flaws(event.attempt), "no violation is confirmed")
    task.judge(event.attempt, None)


def _violated(said: Said) -> None:
    task, event = said.task(), said.payload
    _reported(said, task)
    found = task.flaws(event.attempt)
    said.need(bool(found), "nothing is objected to that is as expected")
    named = {violation.category for violation in event.violations}
    said.need(named == found, "a violation is named for what it is", f"{sorted(named)}, not {sorted(found)}")
    again = task.spec.retry.on_violation
    task.judge(event.attempt, Failure(code="violated", message="violated", retryable=again))


def _reported(said: Said, task: TaskBook) -> None:
    report = task.reports.get(said.payload.attempt)
    good = report is not None and report.wants_verdict
    said.need(good, "only what was reported is judged")


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


LAWS: dict[type[Payload], Callable[[Said], None]] = {
    **MISSION_LAWS,
    **instead.LAWS,
    tasks.TaskReady: _ready,
    tasks.TaskRetried: _retried,
    tasks.TaskAdopted: _adopted,
    tasks.TaskSucceeded: _succeeded,
    tasks.TaskAsked: _asked,
    tasks.TaskAnswered: _answered,
    tasks.TaskFailed: _failed,
    tasks.TaskSkipped: _skipped,
    tasks.TaskCancelled: _cancelled,
    actions.ActionDispatched: _dispatched,
    actions.ActionExpired: _action_failed,
    actions.ActionRefused: _action_failed,
    attempts.AttemptStarted: _started,
    attempts.AttemptFinished: _finished,
    worlds.WorldConfirmed: _confirmed,
    worlds.WorldViolated: _violated,
}
