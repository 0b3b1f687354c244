"""One worker process: from joining the fleet to leaving it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import psutil

from schemas.attempts import AttemptOrder, Failure
from schemas.cards import SkillCard
from schemas.envelope import NO_MISSION
from schemas.errors import StigmergyError
from schemas.events.worker import WorkerJoined, WorkerLearned, WorkerLeft
from schemas.ids import process_name
from schemas.requirements import THREADS
from schemas.signals import (
    STANDING,
    STOPS,
    Acknowledgement,
    Heartbeat,
    PoolCall,
    acknowledged_subject,
    heartbeat_subject,
    orders_subject,
    pool_subject,
)
from schemas.stops import StopRecord
from schemas.subjects import noun_filter, type_filter
from workers.attempt import Attempts
from workers.bench import Bench
from workers.board import Board
from workers.bus import BusBlobs, WorkerBus
from workers.learned import Kept
from workers.notebook import Notebook
from workers.peers.answering import Answering
from workers.peers.asked import Desk
from workers.peers.asking import Asking
from workers.registry import Registry
from workers.reporting import Reporter
from workers.standby import Standby
from workers.vouching import ROUNDED_S, Vouching, still_right, told
from workers.watch import Watch

_log = logging.getLogger(__name__)
_beats = _words = msgspec.json.Encoder()
_calls = msgspec.json.Decoder(PoolCall)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker process needs to know; travels to pool children through the environment.

    Attributes:
        may_exit: the process hosts one agent at a time and may be ended to stop it.
        pool, kind, size: which pool it belongs to, Celery's kind of it, and how many workers it begins with.
        labels: what is special about this machine, for tasks that require it.
        grace_s: how long attempts may go on after SIGTERM.
        memory_mb: most memory of one process in MiB; 0 for no limit.
    """

    nats_url: str
    redis_url: str
    state_dir: str
    tenant: str = "default"
    skills: tuple[str, ...] | None = None
    imports: tuple[str, ...] = ()
    sandbox: str | None = None
    heartbeat_s: float = 0.5
    may_exit: bool = True
    pool: str = ""
    kind: str = "prefork"
    size: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    grace_s: float = 300.0
    memory_mb: int = 0


class WorkerProcess:
    """A member of the fleet. Made after any fork: one in a process, or one for each thread of a pool of threads.

    Args:
        board: what the pool's processes tell one another; notebook: what they have learned.
        vouching: the way to the witness of the pool, if it has one.

    Raises:
        LogUnavailable: NATS does not answer.
        InvalidInput: the agents cannot be found.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        board: Board | None = None,
        vouching: Vouching | None = None,
        *,
        notebook: Notebook | None = None,
    ) -> None:
        self._settings = settings
        self.registry = Registry(settings.imports, settings.skills)
        self.registry.share(notebook or Notebook())
        self.name = process_name()
        self._bus = WorkerBus(settings.nats_url, f"worker {self.name}")
        self._watch = Watch(
            may_exit=settings.may_exit, worker=self.name, acknowledge=self._acknowledge, began=self._began
        )
        self._reporter = Reporter(self._bus, self.name)
        blobs, state_dir = BusBlobs(self._bus), Path(settings.state_dir)
        asking = Asking(self._bus, blobs, self.name)
        bench = Bench(state_dir, blobs, settings.sandbox, alone=settings.kind != THREADS, asking=asking)
        desk = Desk(self.name, self._bus, blobs, self._reporter.record, self._reporter.mention, asking)
        registry = self.registry
        self._answering = Answering(desk, registry.answers, registry.answers_at_once, self._held_back)
        self._standby = Standby(lambda order: self._attempts.take(order), lambda order: self._attempts.give_back(order))
        self._attempts = Attempts(
            self.registry, bench, self._reporter, self._watch, self._learn, self._standby.reporting
        )
        self._process = psutil.Process()
        self._board = board or Board()
        self._vouching = vouching
        self._told = threading.Lock()
        self._vouched_until = 0.0
        self._leaving = False
        self._joined_at = time.time()
        self._beat: Callable[[], None] = lambda: None

    def join(self) -> None:
        """Announce the worker, hear stops, send heartbeats."""
        self._bus.listen(STOPS, self._watch.hear)
        self._bus.listen(STOPS, self._answering.hear_stop)
        self._bus.listen(STANDING, self._watch.hear_standing)
        self._take_in_record()
        self._reporter.announce(
            WorkerJoined(
                worker=self.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                skills=self.registry.skills,
                agents=self.registry.agents,
                version=_version(),
                sandbox=self._settings.sandbox or "",
                pool=self._settings.pool,
                kind=self._settings.kind,
                labels=self._settings.labels,
                cards=self.registry.cards,
                answers=self.registry.topic_cards,
                memory_mb=self._settings.memory_mb,
            ),
            self._settings.tenant,
        )
        self._bus.listen(pool_subject(self._settings.tenant), self._called)
        self._answering.open()
        self._bus.listen(orders_subject(self.name), self._given)
        self._beat = self._bus.pulse(heartbeat_subject(self.name), self._heartbeat, self._settings.heartbeat_s)

    def make(self, orders: Iterable[str], standby_s: float = 0.0) -> None:
        """Make the attempts of one Celery message, and then what it is given while it stands by, if it shall.

        An order that cannot be read is logged and left to the manager.
        """
        read = [order for raw in orders if (order := _read(raw)) is not None]
        if not standby_s:
            self._attempts.make(read)
            return
        self._standby.serve(
            lambda: self._attempts.make(read), self._attempts.make_given, standby_s, lambda: self._board.draining
        )

    def _given(self, raw: bytes) -> None:
        """An order that has come directly; called in the thread of the bus."""
        if (order := _read(raw)) is not None:
            self._standby.hear(order)

    def leave(self, reason: str) -> None:
        """Say goodbye and let go. What cannot be said any more is left to the lease."""
        self._leaving = True
        self._answering.close()
        try:
            self._beat()
            self._reporter.announce(WorkerLeft(worker=self.name, reason=reason), self._settings.tenant)
            self._bus.close()
        except StigmergyError as error:
            _log.warning("left without a goodbye: %s", error)

    def give_up(self) -> None:
        """The grace is over: report what is in hand as failed, so that others take it at once, and leave."""
        message = "the worker had to leave before the attempt ended"
        failure = Failure(code="drained", message=message, hint="allow a longer grace", retryable=True)
        try:
            self._attempts.give_up(failure)
        except StigmergyError as error:
            _log.warning("what was in hand is left to the lease: %s", error)
        self.leave("drained; what was in hand went to others")

    def _called(self, raw: bytes) -> None:
        """A call to pools: note it on the board, and tell the main process, which is this one in pools of threads."""
        try:
            call = _calls.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a call to a pool: %s", error)
            return
        if not call.means(self._present()):
            return
        if call.size:
            self._board.wants(call.size)
        elif self._board.drain(call.grace_s):
            os.kill(os.getppid() if self._settings.kind == "prefork" else os.getpid(), signal.SIGTERM)

    def _present(self) -> Heartbeat:
        done, failed = self._attempts.made
        stopped = self._watch.held_back(self.registry.agents)
        held = {skill for agent in stopped for skill in self.registry.agents[agent]}
        return Heartbeat(
            worker=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            skills=tuple(skill for skill in self.registry.skills if skill not in held),
            held=tuple(sorted(held)),
            running=self._watch.held(),
            leaving=self._leaving,
            draining=self._board.draining,
            pool=self._settings.pool,
            kind=self._settings.kind,
            size=self._board.size or self._settings.size,
            since=round(self._joined_at, 3),
            done=done,
            failed=failed,
            rss=self._process.memory_info().rss,
            version=_version(),
            labels=self._settings.labels,
            versions=self.registry.versions,
            profile=self.registry.profile(self._settings.labels, self._settings.kind),
            deprecated=self.registry.deprecated,
        )

    def _held_back(self, tenant: str, mission: str, agent: str) -> str:
        """Why no request is answered now; empty if one may be."""
        if self._leaving or self._board.draining:
            return "it leaves"
        return "stopped" if self._watch.covers(tenant, mission, agent) else ""

    def _take_in_record(self) -> None:
        """What was said before: who joins later must not begin what was stopped, and knows what was to be kept."""
        record, kept = StopRecord(), Kept()
        learned = type_filter(WorkerLearned.TYPE, tenant=self._settings.tenant, mission=NO_MISSION)
        for event in self._bus.read((noun_filter("reflex", mission=NO_MISSION), learned)):
            record.take(event)
            kept.take(event)
        self._watch.adopt(record.standing())
        for said in kept.by(self.registry):
            self._learn(said.card, keep=kept.is_old(said, time.time()), order=None)

    def _learn(self, card: SkillCard, *, keep: bool, order: AttemptOrder | None) -> bool:
        """An agent has learned a skill: record it, if it is new or worth saying again, and let the pool know."""
        if not self.registry.learn(card):
            return False
        if order is not None or keep:
            self._reporter.announce(
                WorkerLearned(
                    worker=self.name,
                    card=card,
                    pool=self._settings.pool,
                    keep=keep,
                    mission=order.mission if order is not None else "",
                    task=order.task if order is not None else "",
                    attempt=order.attempt if order is not None else 0,
                ),
                self._settings.tenant,
            )
        self._beat()
        return True

    def _acknowledge(self, stop: str, word: Acknowledgement) -> None:
        self._bus.send(acknowledged_subject(stop), _words.encode(word))

    def _heartbeat(self) -> bytes:
        self.registry.catch_up()
        beat = _beats.encode(self._present())
        with self._told:
            self._tell_witness(beat, self._watch.deadline)
        return beat

    def _began(self, deadline: float) -> None:
        """The agent may hold the interpreter until the end: the witness has to know before how long that may take.

        It is told a little more, so that it need not be woken up for each of many short attempts.
        """
        with self._told:
            if not still_right(self._vouched_until, deadline):
                self._tell_witness(b"", deadline + ROUNDED_S)

    def _tell_witness(self, beat: bytes, deadline: float | None) -> None:
        self._vouched_until = deadline or 0.0
        if self._vouching is not None:
            self._vouching.tell(told(self.name, beat, deadline, alone=self._settings.may_exit))


def _read(raw: str | bytes) -> AttemptOrder | None:
    try:
        return AttemptOrder.model_validate_json(raw)
    except ValueError as error:
        _log.error("an order that cannot be read was dropped: %s", error)
        return None


@cache
def _version() -> str:
    try:
        return version("stigmergy")
    except PackageNotFoundError:
        return "0"
