"""The task-queue manager as a process: follows the log, hears the workers, keeps attempts moving."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from events.leadership.group import Group
from events.port import Log
from events.services import Services
from events.signals import Signals
from orchestrator.core.facts import Fact
from orchestrator.desks import Desk, Desks
from orchestrator.partitions import Chronicle, Partitions
from orchestrator.recording import Clock, Recorder
from orchestrator.task_queue.allocation import is_bound
from orchestrator.task_queue.backlog import backlog
from orchestrator.task_queue.dispatch import Dispatch, Sender, Spread
from orchestrator.task_queue.fairness import PRIORITY_STEP
from orchestrator.task_queue.floor import Floor, OpenAttempt
from orchestrator.task_queue.learning import learn
from orchestrator.task_queue.managers import Managers
from orchestrator.task_queue.recalling import recall
from orchestrator.task_queue.reflexes import Reflexes, trips_of
from orchestrator.task_queue.roll_call import call_the_roll, record_lost
from orchestrator.task_queue.rules import DispatchRules, expired, given, unclaimable, unclaimed, unread
from orchestrator.task_queue.sent import AttemptKey
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import GRACE_S, Situation
from orchestrator.task_queue.standing import StandingStops
from schemas.backlog import BACKLOG, SkillBacklog
from schemas.errors import NotBegun
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.base import AttemptPayload
from schemas.events.manager import ManagerTookOver
from schemas.events.mission import MissionCancelled, MissionFailed
from schemas.events.task import TaskCancelled
from schemas.requirements import queue_of
from schemas.signals import HEARTBEATS, Heartbeat, Running, Stop

_log = logging.getLogger(__name__)
_TICK_S = 0.25
_UNCLAIMED_S = 3.0
_RESEND_S = 2.0
_IDLE_S = 2.0
_MOST_RESENT = 5
_ADOPT_S = 60.0
_LATE_S = 0.1
_beats = msgspec.json.Decoder(Heartbeat)


class TaskQueueManager:
    """Brings ready tasks to workers and checks what came of them. Any number may run: in a group each leads its
    partitions of the missions, and what spans missions is shared by what they tell one another (docs/leadership.md).

    Args:
        log, signals: the bus.
        sender: makes the sender, given what it wants to know of skills.
        name: who this is, a token unique among the running managers.
        clock: gives the present instant; ``monotonic`` measures silences, in seconds.
        tenant: whose workers it notes as lost, and where it notes that one manager follows another.
        lease_s: after this silence a worker's attempts are given to others.
        grace_s: how long a task waits for the first worker of its skill before it fails.
        services: where it answers what waits and what runs, if anywhere.
        group: with whom it shares missions out; without it, it has to do with all.
        tenant_weight: the share of a tenant among all.
        priority_step: how many times the turns of the priority below each priority has.
    """

    def __init__(
        self,
        log: Log,
        signals: Signals,
        sender: Callable[[Spread], Sender],
        *,
        name: str,
        clock: Clock,
        tenant: str = "default",
        lease_s: float = 2.5,
        grace_s: float = GRACE_S,
        monotonic: Callable[[], float] = time.monotonic,
        services: Services | None = None,
        group: Group | None = None,
        tenant_weight: Callable[[str], float] = lambda _: 1.0,
        priority_step: float = PRIORITY_STEP,
    ) -> None:
        self._log = log
        self._signals = signals
        self._clock = clock
        self._tenant = tenant
        self._services = services
        self._monotonic = monotonic
        self.situation = Situation(lease_s, monotonic(), grace_s)
        self._sender = sender(self._spread)
        self._recorder = Recorder(log, f"/task-queue/{name}", clock)
        self.stops = StandingStops(log, signals, self._touch_waiting, self._trips, monotonic=monotonic)
        self._reflexes = Reflexes(signals, self.stops, self.situation, self._floors)
        self._sightings = Sightings(monotonic)
        rules = DispatchRules(
            self.situation,
            self._sender.send,
            self._on_fact,
            self._sightings,
            self.stops.holds,
            self._forget,
            self._sender.give,
        )
        self._partitions: Partitions[Floor] | None = None
        self._managers: Managers | None = None
        if group is not None:
            chronicle = Chronicle(log, self._recorder, ManagerTookOver, tenant)
            self._partitions = Partitions(group, chronicle, taken=self._adopt)
            self._managers = Managers(
                signals,
                group,
                self._floors,
                self._backlog_here,
                self.situation,
                self._sender.passed,
                tenant_weight=tenant_weight,
                priority_step=priority_step,
            )
        self.desks: Desks[Floor] = Desks(log, rules, self._recorder, clock, self._partitions)
        self._resent: dict[tuple[str, str, int], tuple[float, int]] = {}
        self._resting: set[tuple[str, str]] = set()
        self._adopted_at = self._ticked_at = monotonic()
        self._deaf = False

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Serve until cancelled. ``ready`` is set when open missions are at hand."""
        await self._signals.listen(HEARTBEATS, self._hear)
        await self.stops.load()
        upto = await self._log.last_sequence()
        if self._partitions is None:
            await self.desks.load_open()
            for desk in self.desks.all():
                self._adopt(desk)
        if self._services is not None:
            await self._services.serve(BACKLOG, self._answer_backlog)
        try:
            if self._partitions is not None and self._managers is not None:
                beside = (self.stops.follow(), self._tick(), self._managers.run(), *self._remembering(upto))
                await self._partitions.lead(self.desks, ready, *beside)
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(self.desks.follow())
                group.create_task(self.stops.follow())
                group.create_task(self._tick())
                for remembering in self._remembering(upto):
                    group.create_task(remembering)
                if ready is not None:
                    ready.set()
        finally:
            await asyncio.to_thread(self._sender.close)

    def _remembering(self, upto: int) -> tuple[Coroutine[Any, Any, None], ...]:
        return (
            recall(self._log, self.situation, upto),
            call_the_roll(self._log, self._recorder, self.situation, upto),
        )

    def _spread(self, skill: str, queue: str) -> tuple[float | None, int, float]:
        share = self._managers.share(queue) if self._managers is not None else 1.0
        return self.situation.expected_s(skill), len(self.situation.reading(queue)), share

    def _floors(self) -> list[Floor]:
        return [desk.state for desk in self.desks.all()]

    def _trips(self) -> tuple[Stop, ...]:
        return trips_of(desk.state for desk in self.desks.all() if self._leads(desk))

    def _backlog_here(self, tenant: str) -> list[SkillBacklog]:
        floors = [floor for floor in self._floors() if floor.tenant == tenant]
        return backlog(floors, self.situation, self._sightings)

    async def _answer_backlog(self, tenant: str, _question: bytes) -> AsyncIterator[bytes]:
        here = self._backlog_here(tenant)
        yield msgspec.json.encode(here if self._managers is None else self._managers.backlog(tenant, here))

    def _leads(self, desk: Desk[Floor]) -> bool:
        return self._partitions is None or self._partitions.leads(desk.tenant, desk.mission)

    def _forget(self, floor: Floor) -> None:
        """Whoever leads the mission now sends what still waits here."""
        self._settle(floor, list(floor.attempts))

    def _listening_s(self) -> float:
        return self._monotonic() - self.situation.since

    def _hear(self, raw: bytes) -> None:
        try:
            beat = _beats.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a heartbeat: %s", error)
            return
        known = self.situation.workers.get(beat.worker)
        self.situation.hear(beat, self._monotonic())
        if known is None or known.lost or beat.gone:
            self._touch_waiting()

    def _touch_waiting(self) -> None:
        for desk in self.desks.all():
            if desk.state.agenda:
                self.desks.touch(desk)

    def _on_fact(self, floor: Floor, fact: Fact) -> None:
        learn(self.situation, floor, fact)
        self._reflexes.read(floor, fact)
        match fact.payload:
            case ActionDispatched() as event if event.order.given is not None:
                self.situation.began(event.order.given.worker, Running(*_key(floor, event)), self._monotonic())
            case AttemptStarted() as event:
                self._claimed(floor, event)
                self.situation.began(event.worker, Running(*_key(floor, event)), self._monotonic())
            case AttemptFinished() as event:
                self._reported(floor, event)
            case ActionExpired() as event:
                # Perhaps nobody has claimed it: then it must not count for ever among what waits for a claim.
                key = _key(floor, event)
                self._sender.settled(key)
                if event.failure.code == NotBegun.code:
                    self._sender.returned(key)
                self.situation.released(Running(*key))
            case TaskCancelled() as event:
                self._settle(floor, [event.task])
            case MissionFailed() | MissionCancelled():
                self._settle(floor, list(floor.attempts))

    def _claimed(self, floor: Floor, event: AttemptStarted) -> None:
        opened = floor.attempts.get(event.task)
        queue, priority = (opened.queue, opened.priority) if opened is not None else ("", 0)
        if self._managers is not None and queue:
            self._managers.claimed(queue, priority)
        self._sender.settled(_key(floor, event), queue, priority)

    def _reported(self, floor: Floor, event: AttemptFinished) -> None:
        key = _key(floor, event)
        self.situation.ended(event.worker, Running(*key), self._monotonic())
        if event.failure is not None and event.failure.code == NotBegun.code:
            self._sender.returned(key)
        else:
            self._sender.finished(key, event.worker, partial(self.situation.takes, event.worker))
        if event.outcome == "succeeded":
            self.situation.took(_skill(floor, event.task), event.observation.duration_s)

    def _settle(self, floor: Floor, tasks: Sequence[str]) -> None:
        """What was not claimed yet need not be sent any more."""
        for task in tasks:
            if (opened := floor.attempts.get(task)) is not None:
                self._sender.settled((floor.tenant, floor.mission, task, opened.ready.attempt))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            monotonic = self._monotonic()
            self._excuse_own_silence(monotonic)
            for worker, silent in list(self.situation.sweep(monotonic)):
                await self._note_lost(worker, silent)
            for desk in filter(self._leads, self.desks.all()):
                ending = partial(
                    expired,
                    situation=self.situation,
                    sightings=self._sightings,
                    monotonic=monotonic,
                    stopped=self.stops.holds(desk.tenant, desk.mission) is not None,
                )
                if ending(desk.state):
                    await self.desks.decide(desk, ending)
                elif desk.state.agenda:
                    self.desks.touch(desk)
                await self._resend(desk, monotonic)
            if monotonic - self._adopted_at > _ADOPT_S:
                self._adopted_at = monotonic
                for desk in filter(self._leads, self.desks.all()):
                    self._adopt(desk, _ADOPT_S)
            self._sightings.forget()
            self._reflexes.stop_strays()

    def _excuse_own_silence(self, monotonic: float) -> None:
        """What was not heard because this process had no turn, or no connection, was not silence.

        It comes before anybody is called lost: the heartbeats of that time may still wait to be read.
        """
        late_s = monotonic - self._ticked_at - _TICK_S
        self._ticked_at = monotonic
        if not self._signals.connected:
            self._deaf, late_s = True, late_s + _TICK_S
        elif self._deaf:  # whoever lost the same server is just coming back
            self._deaf, late_s = False, self.situation.lease_s
        if late_s > _LATE_S:
            self.situation.excuse(late_s, monotonic)

    async def _note_lost(self, worker: str, silent_s: float) -> None:
        await record_lost(self._log, self._recorder, worker, self._tenant, silent_s)
        _log.warning("%s (heard %.1f s ago); its attempts go to others", self.situation.how_lost(worker), silent_s)

    async def _resend(self, desk: Desk[Floor], monotonic: float) -> None:
        """Send again what nobody claims although somebody is idle: the queue has lost it, or a manager died in between.

        Sending twice is harmless: the log lets one worker claim the attempt. What nobody can claim after several times
        is given up: the next attempt has a claim of its own.
        """
        if self._rests(desk):
            return
        for opened in unclaimed(desk.state, self._sightings, self._unread_s()):
            if self._nobody_reads(opened):
                await self.desks.decide(desk, partial(unread, task=opened.ready.task, attempt=opened.ready.attempt))
        for opened in unclaimed(desk.state, self._sightings, _UNCLAIMED_S):
            key = (desk.mission, opened.ready.task, opened.ready.attempt)
            last, times = self._resent.get(key, (0.0, 0))
            queue = self._with_somebody_idle(opened)
            if opened.order is None or monotonic - last < _RESEND_S or not queue:
                continue
            if times >= _MOST_RESENT:
                del self._resent[key]
                await self.desks.decide(desk, partial(unclaimable, task=key[1], attempt=key[2], times=times))
                continue
            if len(self._resent) > 10_000:
                self._resent.clear()
            self._resent[key] = (monotonic, times + 1)
            self._sender.again(Dispatch(queue, opened.priority, opened.order, desk.state.weight))

    def _nobody_reads(self, opened: OpenAttempt) -> bool:
        """Whether the attempt waits in vain: the profile has left, or all that is left has deprecated the skill. Who is
        only stopped comes back."""
        elsewhere = "@" in opened.queue or bool(self.situation.offering(opened.ready.skill))
        there = self.situation.reading(opened.queue) or self.situation.keeping_back(opened.queue)
        return elsewhere and not there

    def _adopt(self, desk: Desk[Floor], after_s: float = -1.0) -> None:
        """Take on what others recorded and nobody claims: if they have died, it has no turn anywhere.

        At once when the mission comes into these hands, for whoever recorded it has most likely died. The sender passes
        over what it knows. What another manager is just about to send goes twice, which is harmless.
        """
        if self._at_rest(desk):
            return
        for opened in (*given(desk.state), *unclaimed(desk.state, self._sightings, after_s)):
            if opened.order is not None:
                self._sender.send(Dispatch(opened.queue, opened.priority, opened.order, desk.state.weight))

    def _rests(self, desk: Desk[Floor]) -> bool:
        """Whether the mission is at rest. What waits for a claim in one that is does not stand in the way of others; it
        is sent again when the mission goes on."""
        mission = desk.tenant, desk.mission
        rests = self._at_rest(desk) and not desk.state.ended
        if rests and mission not in self._resting:
            self._resting.add(mission)
            self._settle(desk.state, [opened.ready.task for opened in unclaimed(desk.state, self._sightings, -1.0)])
        elif not rests and mission in self._resting:
            self._resting.discard(mission)
            self._adopt(desk)
        return rests

    def _at_rest(self, desk: Desk[Floor]) -> bool:
        return bool(desk.state.guard.tripped) or self.stops.holds(desk.tenant, desk.mission) is not None

    def _unread_s(self) -> float:
        """How long a queue without readers is waited for: a lease, once heartbeats have been heard for as long."""
        lease = self.situation.lease_s
        return lease if self._listening_s() > lease else float("inf")

    def _with_somebody_idle(self, opened: OpenAttempt) -> str:
        """The queue to send an attempt to again, its own or one that it may go to as well; empty if all are busy."""
        idle_since = self._monotonic() - _IDLE_S
        queues = [opened.queue]
        if not is_bound(opened.ready):
            queues.append(queue_of(opened.ready.skill))  # bound for its workspace alone, to a machine that has got busy
        for queue in queues:
            if any(worker.active_at < idle_since for worker in self.situation.reading(queue)):
                return queue
        return ""


def _key(floor: Floor, event: AttemptPayload) -> AttemptKey:
    return floor.tenant, floor.mission, event.task, event.attempt


def _skill(floor: Floor, task: str) -> str:
    opened = floor.attempts.get(task)
    return opened.ready.skill if opened else ""
