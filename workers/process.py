"""One worker process: from joining the fleet to leaving it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from schemas.attempts import AttemptOrder
from schemas.envelope import NO_MISSION
from schemas.errors import StigmergyError
from schemas.events.worker import WorkerJoined, WorkerLeft
from schemas.ids import process_name
from schemas.signals import (
    STANDING,
    STOPS,
    Acknowledgement,
    Heartbeat,
    acknowledged_subject,
    heartbeat_subject,
)
from schemas.stops import StopRecord
from schemas.subjects import noun_filter
from workers.attempt import Attempts
from workers.bench import Bench
from workers.bus import BusBlobs, WorkerBus
from workers.registry import Registry
from workers.reporting import Reporter
from workers.watch import Watch

_log = logging.getLogger(__name__)
_beats = _words = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker process needs to know; travels to pool children through the environment.

    Attributes:
        may_exit: the process hosts one agent at a time and may be ended to stop it.
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


class WorkerProcess:
    """A member of the fleet. Made once in every process that runs attempts, after any fork.

    Raises:
        LogUnavailable: NATS does not answer.
        InvalidInput: the agents cannot be found.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self.registry = Registry(settings.imports, settings.skills)
        self.name = process_name()
        self._bus = WorkerBus(settings.nats_url, f"worker {self.name}")
        self._watch = Watch(may_exit=settings.may_exit, worker=self.name, acknowledge=self._acknowledge)
        bench = Bench(Path(settings.state_dir), BusBlobs(self._bus), settings.sandbox)
        self._reporter = Reporter(self._bus, self.name)
        self._attempts = Attempts(self.registry, bench, self._reporter, self._watch)
        self._leaving = False
        self._beat: Callable[[], None] = lambda: None

    def join(self) -> None:
        """Announce the worker, hear stops, send heartbeats."""
        self._bus.listen(STOPS, self._watch.hear)
        self._bus.listen(STANDING, self._watch.hear_standing)
        self._watch.adopt(self._stops_on_record().standing())
        self._reporter.announce(
            WorkerJoined(
                worker=self.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                skills=self.registry.skills,
                agents=self.registry.agents,
                version=_version(),
                sandbox=self._settings.sandbox or "",
            ),
            self._settings.tenant,
        )
        self._beat = self._bus.pulse(heartbeat_subject(self.name), self._heartbeat, self._settings.heartbeat_s)

    def make(self, orders: Iterable[str]) -> None:
        """Make the attempts of one Celery message. An order that cannot be read is logged and left to the manager."""
        readable = []
        for raw in orders:
            try:
                readable.append(AttemptOrder.model_validate_json(raw))
            except ValueError as error:
                _log.error("an order that cannot be read was dropped: %s", error)
        self._attempts.make(readable)

    def leave(self, reason: str) -> None:
        """Say goodbye and let go. What cannot be said any more is left to the lease."""
        self._leaving = True
        try:
            self._beat()
            self._reporter.announce(WorkerLeft(worker=self.name, reason=reason), self._settings.tenant)
            self._bus.close()
        except StigmergyError as error:
            _log.warning("left without a goodbye: %s", error)

    def _stops_on_record(self) -> StopRecord:
        """Who joins later must not begin what was stopped before."""
        record = StopRecord()
        for event in self._bus.read((noun_filter("reflex", mission=NO_MISSION),)):
            record.take(event)
        return record

    def _acknowledge(self, stop: str, word: Acknowledgement) -> None:
        self._bus.send(acknowledged_subject(stop), _words.encode(word))

    def _heartbeat(self) -> bytes:
        stopped = self._watch.held_back(self.registry.agents)
        held = {skill for agent in stopped for skill in self.registry.agents[agent]}
        return _beats.encode(
            Heartbeat(
                worker=self.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                skills=tuple(skill for skill in self.registry.skills if skill not in held),
                held=tuple(sorted(held)),
                running=self._watch.held(),
                leaving=self._leaving,
            )
        )


def _version() -> str:
    try:
        return version("stigmergy")
    except PackageNotFoundError:
        return "0"
