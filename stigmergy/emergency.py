"""The emergency stop, from outside: said to all workers at once, then put on record; and how it is lifted."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, ConfigDict

from events.jetstream.log import JetStreamLog
from orchestrator.stopping import read_stops
from schemas.commands import ResumeWork, StopWork
from schemas.envelope import NO_MISSION
from schemas.errors import StigmergyError
from schemas.ids import process_name, uuid7
from schemas.signals import HEARTBEATS, Acknowledgement, Heartbeat, Running, Stop, acknowledged_subject, reflex_subject

if TYPE_CHECKING:
    from stigmergy.client import Client

_LISTEN_S = 1.3
"""A good heartbeat: whoever is alive has been heard of by then, and who has not answered is known."""
_ENDS_S = 5.0
_words = msgspec.json.Decoder(Acknowledgement)
_beats = msgspec.json.Decoder(Heartbeat)


class StoppedAttempt(BaseModel):
    """An attempt that a stop ended; ``ended_ms`` after the command, None if it has not ended yet."""

    model_config = ConfigDict(frozen=True)

    worker: str
    tenant: str
    mission: str
    task: str
    attempt: int
    ended_ms: float | None = None


class StopReport(BaseModel):
    """What a stop came to.

    Attributes:
        stop: its id.
        acknowledged: worker to milliseconds from the command to its answer.
        missing: workers that sent a heartbeat and did not answer.
        recorded: whether an orchestrator has put it on record; if not, ``problem`` says why.
    """

    model_config = ConfigDict(frozen=True)

    stop: str
    acknowledged: dict[str, float]
    missing: tuple[str, ...] = ()
    attempts: tuple[StoppedAttempt, ...] = ()
    recorded: bool = True
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether everybody answered, everything ended, and it is on record."""
        return self.recorded and not self.missing and all(one.ended_ms is not None for one in self.attempts)


class _Answers:
    """What comes back, with the time it took."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.heard: dict[str, float] = {}
        self.stopping: dict[tuple[str, Running], float | None] = {}
        self.alive: set[str] = set()
        self.news = asyncio.Event()

    def word(self, raw: bytes) -> None:
        word, now = _words.decode(raw), round((time.monotonic() - self.began) * 1e3, 1)
        self.heard.setdefault(word.worker, now)
        for running in word.running:
            key = word.worker, running
            self.stopping[key] = now if word.ended else self.stopping.get(key)
        self.news.set()

    def beat(self, raw: bytes) -> None:
        beat = _beats.decode(raw)
        if not beat.leaving:
            self.alive.add(beat.worker)

    async def all_ended(self) -> None:
        while any(ended is None for ended in self.stopping.values()):
            self.news.clear()
            await self.news.wait()


async def stop_work(
    client: Client,
    *,
    everyone: bool = False,
    mission: str = "",
    agent: str = "",
    worker: str = "",
    reason: str = "",
) -> StopReport:
    """Stop the tenant, or all tenants (``everyone``), a mission, an agent, a worker; returns when all has ended.

    The stop goes to every worker first and straight; it does not wait for queues, log or orchestrator.
    """
    command = StopWork(**_scope(client, everyone, mission, agent, worker), reason=reason)
    stop = Stop(
        tenant="" if everyone else command.tenant,
        mission=mission,
        reason=reason or "emergency stop",
        worker=worker,
        agent=agent,
        id=command.id,
        forgiven=True,
    )
    signals, answers = client.bus.signals, _Answers()
    await signals.listen(acknowledged_subject(stop.id), answers.word)
    await client.bus.nc.flush()  # or the first answers would come before anybody listens
    answers.began = time.monotonic()
    await signals.send(reflex_subject(stop), msgspec.json.encode(stop))
    await client.bus.nc.flush()
    await signals.listen(HEARTBEATS, answers.beat)
    problem = ""
    try:
        _, _ = await asyncio.gather(client.command(command, timeout_s=_ENDS_S), asyncio.sleep(_LISTEN_S))
    except StigmergyError as error:
        problem = error.message
    try:
        async with asyncio.timeout(_ENDS_S):
            await answers.all_ended()
    except TimeoutError:
        pass  # the report says which
    return _report(stop, answers, problem)


def _report(stop: Stop, answers: _Answers, problem: str) -> StopReport:
    attempts = [
        StoppedAttempt(
            worker=worker, tenant=r.tenant, mission=r.mission, task=r.task, attempt=r.attempt, ended_ms=ended
        )
        for (worker, r), ended in answers.stopping.items()
    ]
    return StopReport(
        stop=stop.id,
        acknowledged=dict(sorted(answers.heard.items())),
        missing=tuple(sorted(answers.alive - answers.heard.keys())),
        attempts=tuple(attempts),
        recorded=not problem,
        problem=problem,
    )


async def resume_work(
    client: Client,
    *,
    everyone: bool = False,
    mission: str = "",
    agent: str = "",
    worker: str = "",
    reason: str = "",
) -> tuple[Stop, ...]:
    """Lift the stops of a scope and all within it. Returns the stops still in force that touch this tenant.

    Raises:
        Refused: nothing is stopped there.
    """
    await client.command(ResumeWork(**_scope(client, everyone, mission, agent, worker), reason=reason))
    return await stops_in_force(client)


async def stops_in_force(client: Client) -> tuple[Stop, ...]:
    """The stops that hold now, of this tenant and of all."""
    log: JetStreamLog = client.bus.log
    tenant = client.settings.tenant
    return tuple(stop for stop in (await read_stops(log)).stops.values() if stop.tenant in ("", tenant))


def _scope(client: Client, everyone: bool, mission: str, agent: str, worker: str) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "tenant": client.settings.tenant,
        "mission": mission or NO_MISSION,
        "by": process_name(),
        "everyone": everyone,
        "agent": agent,
        "worker": worker,
    }
