"""The life of one attempt, from the claim to the report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from schemas.attempts import AttemptOrder, Failure
from schemas.errors import Cancelled, NotBegun, Permanent, StigmergyError, Stopped, TimedOut
from schemas.events.attempt import AttemptFinished
from schemas.expectations import Observation
from schemas.handoff import Earlier
from schemas.signals import Running
from schemas.workspaces import Change
from workers.agents.base import Agent
from workers.bench import Bench
from workers.context import Context, Learn
from workers.handing import HandingOff
from workers.output import plain_output
from workers.parsing import unreadable_files
from workers.registry import Registry
from workers.reporting import Reporter
from workers.stopping import AttemptStopped, StopFlag
from workers.watch import Watch

_log = logging.getLogger(__name__)
_REPORT_WITHIN_S = 0.05


class Attempts:
    """Makes the attempts of one worker process, one after another.

    Args:
        registry: who can do what.
        bench: folders, stores and tools.
        reporter: where to say what happens.
        watch: knows what is in hand, and stops it when it is told to or when its time is up.
        learn: takes note of skills that agents learn; without it they cannot.
        reporting: told which attempt is about to be reported, the last if they are several.
    """

    def __init__(
        self,
        registry: Registry,
        bench: Bench,
        reporter: Reporter,
        watch: Watch,
        learn: Learn | None = None,
        reporting: Callable[[AttemptOrder], None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._bench = bench
        self._reporter = reporter
        self._watch = watch
        self._learn = learn
        self._reporting = reporting
        self._in_hand: dict[Running, AttemptOrder] = {}
        self._done = self._failed = 0

    @property
    def made(self) -> tuple[int, int]:
        """How many attempts ended well, and not well."""
        return self._done, self._failed

    def give_up(self, failure: Failure) -> None:
        """Report what is in hand as failed, from another thread; the process is about to end."""
        endings = [
            (
                order,
                AttemptFinished(
                    task=order.task,
                    attempt=order.attempt,
                    worker=self._reporter.worker,
                    outcome="failed",
                    failure=failure,
                ),
            )
            for order in list(self._in_hand.values())
        ]
        if endings:
            self._report(endings)

    def make(self, orders: Sequence[AttemptOrder]) -> None:
        """Claim the attempts of one message, make those that are ours, report. Raises only what the log refuses.

        The endings of short attempts are reported together, at the latest 0.05 s after the first.
        """
        for agent, same in self._by_skill(orders):
            name = agent.name if agent is not None else "none"
            free = [order for order in same if self._watch.may_begin(running(order), name)]
            if len(free) < len(same):
                _log.warning("%d attempts are held by a stop and left unclaimed", len(same) - len(free))
            claimed = self._reporter.claim(free, name) if free else []
            ours = [order for order, won in zip(free, claimed, strict=True) if won]
            self._make_claimed(agent, ours)

    def take(self, order: AttemptOrder) -> bool:
        """Have an attempt in hand that was given to this worker; called in the thread of the bus, before it is made.

        False if an emergency stop in force forbids to begin it.
        """
        [(agent, _)] = self._by_skill([order])
        name = agent.name if agent is not None else "none"
        if self._watch.covers(order.tenant, order.mission, name):
            return False
        self._watch.hold([running(order)], name)
        self._reporter.emit(order, self._reporter.started(order, name))
        return True

    def make_given(self, order: AttemptOrder) -> None:
        """Make an attempt that was taken, and report. Raises only what the log refuses."""
        [(agent, orders)] = self._by_skill([order])
        self._make_claimed(agent, orders)

    def give_back(self, order: AttemptOrder) -> None:
        """Say that an attempt which was given to this worker is not made here; without waiting, from any thread."""
        self._watch.done([running(order)])
        message = "its worker did not stand by any more when the order came"
        told = AttemptFinished(
            task=order.task,
            attempt=order.attempt,
            worker=self._reporter.worker,
            skill=order.skill,
            outcome="cancelled",
            failure=_failure(NotBegun(message)),
        )
        self._reporter.emit(order, told, hurry=True)

    def _make_claimed(self, agent: Agent | None, orders: Sequence[AttemptOrder]) -> None:
        endings: list[tuple[AttemptOrder, AttemptFinished]] = []
        since = time.monotonic()
        self._in_hand.update((running(order), order) for order in orders)
        name = agent.name if agent is not None else "none"
        with self._watch.holding([running(order) for order in orders], name):
            for order in orders:
                ending = self._make_one(agent, order)
                self._in_hand.pop(running(order), None)
                self._done += ending.outcome in ("succeeded", "handed_off")
                self._failed += ending.outcome not in ("succeeded", "handed_off")
                endings.append((order, ending))
                if time.monotonic() - since > _REPORT_WITHIN_S:
                    self._report(endings)
                    self._watch.done([running(order) for order, _ in endings])
                    endings, since = [], time.monotonic()
            if endings:
                self._report(endings)

    def _report(self, endings: Sequence[tuple[AttemptOrder, AttemptFinished]]) -> None:
        """Report; an ending that the log will never take is reported as a failure, without what made it too large."""
        self._reporting(endings[-1][0])
        try:
            self._reporter.report(endings)
        except StigmergyError as error:
            if error.retryable:
                raise
            if len(endings) > 1:
                for ending in endings:
                    self._report([ending])
                return
            [(order, refused)] = endings
            told = AttemptFinished(
                task=order.task,
                attempt=order.attempt,
                worker=refused.worker,
                agent=refused.agent,
                skill=refused.skill,
                outcome="failed",
                failure=_failure(error),
            )
            self._reporter.report([(order, told)])

    def _by_skill(self, orders: Sequence[AttemptOrder]) -> list[tuple[Agent | None, list[AttemptOrder]]]:
        groups: dict[str, tuple[Agent | None, list[AttemptOrder]]] = {}
        for order in orders:
            try:
                agent: Agent | None = self._registry.for_skill(order.skill)
            except StigmergyError:
                agent = None  # a queue of ours that somebody else filled: claim it and say so
            groups.setdefault(order.skill, (agent, []))[1].append(order)
        return list(groups.values())

    def _make_one(self, agent: Agent | None, order: AttemptOrder) -> AttemptFinished:
        begun = time.monotonic()
        stop = StopFlag()
        name = agent.name if agent is not None else "none"
        context = Context(order, self._bench, self._reporter, stop, name, self._learn)
        output: dict[str, Any] = {}
        failure: Failure | None = None
        product: dict[str, Any] | None = None
        changes: tuple[Change, ...] | None = None
        unreadable: dict[str, str] | None = None
        try:
            work, overdrawn = _work(agent, context), context.account.overdrawn
            output = self._watch.run(running(order), stop, order.timeout_s, work, overdrawn)
            product, changes = _product(context)
            unreadable = unreadable_files(context, product, changes)
        except AttemptStopped:
            failure = _failure(stop.error or Cancelled("stopped"))
        except StigmergyError as error:
            failure = _failure(_told(error, stop))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an agent raises is its failure, never the worker's
            _log.exception("agent %s failed in %s", agent.name if agent else "?", order.task)
            failure = Failure(code="agent_error", message=f"{type(error).__name__}: {error}"[:2000], retryable=True)
        finally:
            self._bench.tidy()
        offer = context.offer if failure is None else None
        observation = Observation(
            changes=None if changes is None else {change.path: change.kind for change in changes},
            contents={change.path: change.content for change in changes if change.content} if changes else None,
            tests=context.tests.model_dump(mode="json") if context.tests is not None else None,
            exit_code=context.exit_code,
            peak_memory_bytes=context.account.peak_memory_bytes,
            cpu_s=round(context.account.cpu_s, 3),
            unreadable=unreadable,
            duration_s=round(time.monotonic() - begun, 6),
            tools=context.tools,
        )
        return AttemptFinished(
            task=order.task,
            attempt=order.attempt,
            worker=self._reporter.worker,
            agent=name,
            skill=order.skill,
            outcome="handed_off" if offer is not None else _outcome(failure),
            output=output,
            product=product,
            observation=observation,
            failure=failure,
            hand_off=offer,
        )


def running(order: AttemptOrder) -> Running:
    """How an attempt appears in heartbeats."""
    return Running(order.tenant, order.mission, order.task, order.attempt)


def _work(agent: Agent | None, context: Context) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        if agent is None:
            raise StigmergyError(
                f"this worker has no agent for the skill {context.order.skill!r}",
                hint="is another program sending to the queues of this stack?",
            )
        context.prepare()
        try:
            return plain_output(agent.run(context))
        except HandingOff as leaving:
            context.offer = leaving.offer.model_copy(update={"onto": _merged_before(context)})
            return {}

    return run


def _product(context: Context) -> tuple[dict[str, Any] | None, tuple[Change, ...] | None]:
    """The tree the agent left, and how it differs from the one of the task: by content, not by what the agent says.

    What was handed over may differ from it already: whoever takes a task over answers for all of it.
    """
    store, origin = context.bench.workspaces, context.origin
    if context.delivered is not None and context.base is not None:
        after = context.delivered
    elif context.opened is not None:
        after = store.snapshot(context.opened, base=context.base)
    elif context.base is not None:
        after = context.base
    else:
        return None, None
    # Without a workspace of the task's own there is nothing to compare with; a folder that was opened still counts.
    unchanged = () if context.opened is not None else None
    return after.model_dump(mode="json"), unchanged if origin is None else store.changed(origin, after)


def _merged_before(context: Context) -> tuple[Earlier, ...]:
    """What other tasks had made that is in the workspace of an attempt."""
    before = context.handed.onto if context.handed is not None else ()
    return (*before, *(one for one in context.order.onto if one not in before))


def _told(error: StigmergyError, stop: StopFlag) -> StigmergyError:
    """Why it really ended: an agent's own word that it was stopped would give it attempts that nobody counts."""
    if not isinstance(error, Cancelled):
        return error
    return stop.error or (Permanent(error.message, hint=error.hint) if isinstance(error, Stopped) else error)


def _failure(error: StigmergyError) -> Failure:
    return Failure(code=error.code, message=error.message[:2000], hint=error.hint[:1000], retryable=error.retryable)


def _outcome(failure: Failure | None) -> Any:
    if failure is None:
        return "succeeded"
    if failure.code == TimedOut.code:
        return "timed_out"
    return "cancelled" if failure.code in (Cancelled.code, Stopped.code) else "failed"
