"""What the task-queue manager decides: dispatch, confirm or object, let a lease end.

Pure but for the situation it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice

from orchestrator.core.facts import Fact
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.allocation import Allocation, allocate
from orchestrator.task_queue.claims import Board, earlier, moved_meanwhile
from orchestrator.task_queue.dispatch import Dispatch
from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage
from orchestrator.task_queue.handing import held_to, lapsed, may_lapse
from orchestrator.task_queue.intents import Known, action_for
from orchestrator.task_queue.judging import judge
from orchestrator.task_queue.learning import learn_of_waiting
from orchestrator.task_queue.safety import forbidden
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import Situation
from orchestrator.task_queue.trees import since_tested
from schemas.attempts import Action, AttemptOrder, Failure, Given
from schemas.celery_wire import GIVEN_WITHIN_S
from schemas.errors import InvalidInput, NotBegun, Stopped
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired, ActionRefused
from schemas.events.task import TaskReady
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.signals import Running

_MOST = 2000
TIMEOUT_MARGIN_S = 5.0
"""A worker ends an attempt at its timeout by itself; only one that does not is overruled, this much later."""


class DispatchRules:
    """The rules of :class:`~orchestrator.desks.Desks` for this role.

    Args:
        situation: what is known of the workers.
        send: takes what was dispatched, once it is on the log.
        on_fact: told of every fresh fact, with the floor as it was before.
        sightings: how long attempts have waited here: who has just come has not heard of anybody yet.
        held: the emergency stop, if any, that forbids a mission of a tenant to begin anything.
        forgotten: told of a mission that others lead now.
        give: asked, of an attempt, its queue and its skill, to whom it is given.
    """

    subjects: tuple[str, ...] = (
        "mission.>",
        "task.>",
        "action.>",
        "world.>",
        "attempt.started",
        "attempt.started.>",
        "attempt.finished",
        "attempt._",
        "tool.>",
        "llm.>",
    )
    decides_on: tuple[str, ...] = ("task.>", "attempt.finished", "attempt._")

    def __init__(
        self,
        situation: Situation,
        send: Callable[[Dispatch], None],
        on_fact: Callable[[Floor, Fact], None],
        sightings: Sightings,
        held: Callable[[str, str], object] = lambda _tenant, _mission: None,
        forgotten: Callable[[Floor], None] = lambda _floor: None,
        give: Callable[[AttemptKey, str, str], Given | None] = lambda _attempt, _queue, _skill: None,
    ) -> None:
        self._situation = situation
        self._send = send
        self._on_fact = on_fact
        self._sightings = sightings
        self._held = held
        self._forgotten = forgotten
        self._give = give

    def fresh(self, tenant: str, mission: str) -> Floor:
        return Floor(tenant=tenant, mission=mission)

    def evolve(self, state: Floor, fact: Fact) -> Floor:
        return floors.evolve(state, fact)

    def timer(self, state: Floor) -> datetime | None:
        """None: leases are looked at by the manager's own tick, for all missions at once."""
        return None

    def seen(self, state: Floor) -> dict[str, int]:
        return dict(state.seen)

    def ended(self, state: Floor) -> bool:
        return state.ended

    def idle(self, state: Floor) -> bool:
        return not state.agenda and state.guard.breach is None and state.guard.warning is None

    def read(self, before: Floor, fact: Fact) -> None:
        self._on_fact(before, fact)

    def taken_up(self, state: Floor) -> None:
        learn_of_waiting(self._situation, state, 1)

    def put_down(self, state: Floor) -> None:
        learn_of_waiting(self._situation, state, -1)
        self._forgotten(state)

    def recorded(self, state: Floor, facts: Sequence[tuple[Payload, str]]) -> None:
        for payload, identifier in facts:
            if isinstance(payload, ActionDispatched):
                order = payload.order.model_copy(update={"cause": identifier})
                self._send(Dispatch(payload.queue, payload.priority, order, state.weight))

    def advance(self, state: Floor, now: datetime) -> list[Payload]:
        """Dispatch what is ready, judge what was reported; the judgements first, for others wait for them."""
        if state.guard.breach is not None:
            return [state.guard.breach]  # before anything else is sent
        board = _board(state)
        self._situation.plan_anew()
        decided = (self._decide(state, opened, now, board) for opened in _in_order(state))
        # Cut after deciding: what waits for a worker must not stand in the way of what does not.
        facts = list(islice((payload for payload in decided if payload is not None), _MOST))
        if state.guard.warning is not None:
            facts.insert(0, state.guard.warning)
        return sorted(facts, key=lambda payload: not payload.TYPE.startswith("world."))

    def _decide(self, state: Floor, opened: OpenAttempt, now: datetime, board: Board) -> Payload | None:
        if opened.stage is Stage.REPORTED:
            return _judged(state, opened)
        if board.in_the_way(opened.ready) is not None:
            board.note(opened.ready)
            return None
        decided = self._dispatched(state, opened, now)
        if isinstance(decided, ActionDispatched):
            board.note(opened.ready)
        return decided

    def _dispatched(self, state: Floor, opened: OpenAttempt, now: datetime) -> Payload | None:
        if state.guard.tripped or self._held(state.tenant, state.mission) is not None:
            return None
        ready = opened.ready
        chosen = allocate(ready, self._situation, self._sightings.age_s(state, opened), now.timestamp())
        if chosen is None or (isinstance(chosen, Failure) and may_lapse(ready)):
            return None  # of what was handed over, the time to accept it decides
        if isinstance(chosen, Failure):
            return ActionRefused(task=ready.task, attempt=ready.attempt, failure=chosen)
        changed, suite_s = since_tested(state.trees, ready.workspace)
        expected_s = self._situation.expected_s(ready.skill)
        known = Known(expected_s if expected_s is None else round(expected_s, 3), changed, suite_s)
        try:
            action = action_for(ready, known)
        except InvalidInput as error:
            failure = Failure(code=error.code, message=error.message, hint=error.hint)
            return ActionRefused(task=ready.task, attempt=ready.attempt, failure=failure)
        attempt = (state.tenant, state.mission, ready.task, ready.attempt)
        return _order(state, ready, chosen, action, self._give(attempt, chosen.queue, ready.skill), now)


def _board(state: Floor) -> Board:
    if not any(state.attempts[task].ready.writes for task in state.agenda):
        return Board(())
    orders = (opened.order for opened in state.attempts.values() if opened.order is not None)
    return Board((order.task, order.claims) for order in orders if order.claims)


def _in_order(state: Floor) -> list[OpenAttempt]:
    """What waits for this role in the order of arrival; of those that may have to wait for one another, the more urgent
    first and behind all others."""

    def place(task: str) -> tuple[bool, int, int]:
        ready = state.attempts[task].ready
        serial = ready.on_conflict == "serialise" and state.attempts[task].stage is Stage.READY
        return serial, -ready.priority if serial else 0, state.agenda[task]

    return [state.attempts[task] for task in sorted(state.agenda, key=place)]


def _order(
    state: Floor, ready: TaskReady, chosen: Allocation, action: Action, given: Given | None, now: datetime
) -> ActionDispatched:
    onto = earlier(ready, state.products)
    order = AttemptOrder(
        tenant=state.tenant,
        mission=state.mission,
        task=ready.task,
        attempt=ready.attempt,
        skill=ready.skill,
        action=action,
        workspace=ready.workspace,
        onto=onto,
        claims=ready.writes,
        expects=ready.expects,
        timeout_s=ready.timeout_s,
        dispatched_at=now,
        feedback=ready.feedback,
        advice=ready.advice,
        handed=ready.handed,
        safety=state.guard.rules,
        correlation=state.correlation,
        traceparent=state.traceparent,
        given=given,
    )
    return ActionDispatched(
        task=ready.task,
        attempt=ready.attempt,
        order=order,
        queue=chosen.queue,
        priority=chosen.priority,
        candidates=chosen.candidates,
        warning=chosen.warning,
        because=f"{chosen.because}; builds on {', '.join(one.task for one in onto)}" if onto else chosen.because,
    )


def _judged(state: Floor, opened: OpenAttempt) -> Payload | None:
    ready, finished = opened.ready, opened.finished
    if finished is None:
        return None
    moved = moved_meanwhile(ready, opened.order, finished.observation.changes or (), state.products)
    expects = held_to(ready.expects, finished)
    violations = judge(expects, finished, inputs=ready.inputs, moved=moved)
    violations += forbidden(state.guard.rules, finished)
    if violations:
        return WorldViolated(task=ready.task, attempt=ready.attempt, violations=violations)
    return WorldConfirmed(
        task=ready.task, attempt=ready.attempt, checks=tuple(expectation.kind for expectation in expects)
    )


def running(state: Floor, opened: OpenAttempt) -> Running:
    """How the attempt appears in heartbeats."""
    return Running(state.tenant, state.mission, opened.ready.task, opened.ready.attempt)


def expired(
    state: Floor, situation: Situation, sightings: Sightings, monotonic: float, *, stopped: bool = False
) -> list[Payload]:
    """The attempts whose lease has ended: their worker fell silent or dropped them, or they ran past their time; and
    those that were handed over and that nobody takes.

    No calendar is asked, neither the worker's nor this manager's: see :mod:`~orchestrator.task_queue.sightings`.
    ``stopped``: an emergency stop is in force, so that is why the worker is gone, and the attempt does not count.
    """
    facts: list[Payload] = [] if stopped or state.guard.tripped else [*lapsed(state, sightings)]
    for task in sorted(state.attempts):
        opened = state.attempts[task]
        if opened.stage not in (Stage.GIVEN, Stage.STARTED) or opened.worker is None:
            continue
        failure = _why_over(state, opened, opened.worker, situation, sightings, monotonic)
        if failure is None:
            continue
        if stopped:
            failure = failure.model_copy(update={"code": Stopped.code})
        facts.append(ActionExpired(task=task, attempt=opened.ready.attempt, worker=opened.worker, failure=failure))
    return facts


def _why_over(
    state: Floor, opened: OpenAttempt, worker: str, situation: Situation, sightings: Sightings, monotonic: float
) -> Failure | None:
    age_s, timeout_s = sightings.age_s(state, opened), opened.ready.timeout_s
    # A process that ends past the time of its attempt has ended itself, for the attempt would not stop.
    margin_s = 0.0 if situation.has_ended(worker) else TIMEOUT_MARGIN_S
    if age_s > timeout_s + margin_s:
        return Failure(code="timed_out", message=f"the attempt ran longer than {timeout_s:g} s", retryable=True)
    given = opened.stage is Stage.GIVEN
    if given and situation.has_left(worker):
        return _not_begun(f"worker {worker} has left without it")
    if given and age_s <= GIVEN_WITHIN_S and not situation.has_ended(worker):
        return None  # however short the lease: it may still begin
    if situation.is_lost(worker, monotonic):
        # Also of one that was given it and has not said that it has it: it may have died of its first words.
        return Failure(code="worker_lost", message=situation.how_lost(worker), retryable=True)
    if situation.has_dropped(running(state, opened), worker, monotonic):
        if given:
            return _not_begun(f"worker {worker} was given the attempt and does not have it")
        message = f"worker {worker} no longer has the attempt in hand, and its report has not come"
        return Failure(code="report_lost", message=message, retryable=True)
    return None


def _not_begun(message: str) -> Failure:
    return Failure(code=NotBegun.code, message=message, retryable=True)


def given(state: Floor) -> list[OpenAttempt]:
    """Attempts that were given to workers which have not said that they have them."""
    return [opened for _, opened in sorted(state.attempts.items()) if opened.stage is Stage.GIVEN]


def unclaimed(state: Floor, sightings: Sightings, after_s: float) -> list[OpenAttempt]:
    """Attempts that this manager has known for a while as dispatched and that nobody has claimed."""
    # Sorted, because the map iterates by hashes, which differ from process to process.
    waiting = (state.attempts[task] for task in sorted(state.attempts))
    waiting = (opened for opened in waiting if opened.stage is Stage.DISPATCHED)
    return [opened for opened in waiting if sightings.age_s(state, opened) > after_s]


def unread(state: Floor, task: str, attempt: int) -> list[Payload]:
    """The end of an attempt in a queue that nobody reads any more: the next one is allocated anew."""
    opened = state.attempts.get(task)
    if opened is None or opened.ready.attempt != attempt or opened.stage is not Stage.DISPATCHED:
        return []
    message = f"the workers of the queue {opened.queue} have left before one could claim the attempt"
    failure = Failure(code="workers_left", message=message, retryable=True)
    return [ActionExpired(task=task, attempt=attempt, failure=failure)]


def unclaimable(state: Floor, task: str, attempt: int, times: int) -> list[Payload]:
    """The end of an attempt that was sent again and again and that no worker could claim."""
    opened = state.attempts.get(task)
    if opened is None or opened.ready.attempt != attempt or opened.stage is not Stage.DISPATCHED:
        return []
    message = f"no worker could claim the attempt, although it was sent {times + 1} times"
    hint = "the workers' logs say why: an order they cannot read, or something else on the subject of the claim"
    failure = Failure(code="unclaimable", message=message, hint=hint, retryable=True)
    return [ActionExpired(task=task, attempt=attempt, failure=failure)]


def superseded(floor: Floor, running: Running, worker: str) -> bool:
    """Whether an attempt that a worker has in hand does not count any more."""
    opened = floor.attempts.get(running.task)
    if opened is None:
        # Judged, cancelled or given up; or it has just ended, then there is nothing left to stop. An attempt that was
        # never heard of is none of that: whoever sees it running before it has read of it is behind.
        return floor.newest.get(running.task, 0) >= running.attempt
    return opened.ready.attempt > running.attempt or (
        opened.ready.attempt == running.attempt and opened.worker not in (None, worker)
    )
