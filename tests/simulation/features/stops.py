"""Emergency stops and their lifting, at every scope: everybody, a tenant, a mission, a worker, an agent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import msgspec

from orchestrator import stopping
from orchestrator.core import recovery as recovering
from orchestrator.task_queue import reflexes
from orchestrator.task_queue.floor import Floor
from orchestrator.task_queue.standing import StandingStops
from schemas.commands import ResumeWork, StopWork
from schemas.errors import NotBegun, Stopped
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptStarted
from schemas.events.reflex import ReflexResumed, ReflexStopped
from schemas.events.task import TaskRetried
from schemas.ids import uuid7
from schemas.signals import reflex_subject
from schemas.stops import stop_of
from tests.simulation.feature import Feature, Part
from tests.simulation.ledger import Span
from tests.simulation.rough import Ears
from tests.simulation.said import Said
from tests.simulation.scenario import Scenario, Script, Wish
from workers.watch import Watch

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_SCOPES = ("mission", "mission", "tenant", "everyone", "worker", "agent", "agent of the tenant")
REACH_S = 1.0
"""Where nothing goes wrong a stop has reached everybody after so long."""
ROUGH_REACH_S = 30.0
"""Where much goes wrong: the news may be late, the claim on its way, the order in the queue, the worker frozen."""
_LATE_S = 60.0


class _Part(Part):
    """The stops in force by the log, and the laws about them."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._ears: Ears | None = None
        self._carried_out: set[str] = set()
        self.laws = {
            ReflexStopped: self._stopped,
            ReflexResumed: self._resumed,
            ActionDispatched: self._dispatched,
            AttemptStarted: self._started,
            TaskRetried: self._retried,
        }
        self.verbs = {"stop work": self._stop, "restart work": self._restart}

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # what is said

    def _stopped(self, said: Said) -> None:
        stop = stop_of(said.payload)
        span = next((span for span in self.fleet.checker.spans if span.stop.id == stop.id), None)
        if span is None:
            span = Span(stop, self._now())
            self.fleet.checker.spans.append(span)
        if span.place is None:
            span.place, span.recorded = said.place, self._now()

    def _resumed(self, said: Said) -> None:
        said.need(said.cause not in self._carried_out, "a command about stops is carried out once")
        self._carried_out.add(said.cause)
        for name in said.payload.lifts:
            span = next((span for span in self.fleet.checker.spans if span.stop.id == name), None)
            said.need(span is not None and span.until is None, "only a stop in force is lifted", name)
            assert span is not None
            span.until = self._now()

    def _held(self, said: Said, *, worker: str, agent: str) -> Span | None:
        """A stop that has been on the log for so long that everybody knows."""
        # That an order is late, or an agent slow or wrong, keeps no news from anybody.
        late = any(not each.fate[0].startswith(("attempt_", "result_", "queue_")) for each in self.fleet.fates.struck)
        reach = ROUGH_REACH_S if late else REACH_S
        for span in self.fleet.checker.spans:
            known = span.recorded is not None and span.until is None and self._now() - span.recorded > reach
            if known and span.stop.covers(*said.book.key, worker=worker, agent=agent):
                return span
        return None

    def _dispatched(self, said: Said) -> None:
        held = self._held(said, worker="", agent="")
        said.need(held is None, "nothing is sent where everything is stopped", str(held))

    def _started(self, said: Said) -> None:
        node = self.fleet.nodes.get(said.payload.worker)
        if node is not None and node.deaf:
            return
        held = self._held(said, worker=said.payload.worker, agent=said.payload.agent)
        said.need(held is None, "nothing begins where everything is stopped", str(held))

    def _retried(self, said: Said) -> None:
        if said.payload.failure.code != Stopped.code:
            return
        now, (tenant, mission) = self._now(), said.book.key
        good = any(
            span.stop.tenant in ("", tenant)
            and span.stop.mission in ("", mission)
            and (span.until is None or now - span.until < _LATE_S)
            for span in self.fleet.checker.spans
        )
        said.need(good, "only a stop spares an attempt")

    # what is wished

    async def _stop(self, script: Script, wish: Wish) -> None:
        scope = self._scope(script, wish.about)
        command = StopWork(id=uuid7(), tenant=script.tenant, reason="halt", **scope)
        stop = stop_of(stopping._stopped(command))
        self.fleet.checker.spans.append(Span(stop, self._now()))
        await self.ears.send(reflex_subject(stop), msgspec.json.encode(stop))
        await self.fleet.ask(command)

    async def _restart(self, script: Script, wish: Wish) -> None:
        scope = self._scope(script, wish.about)
        await self.fleet.ask(ResumeWork(id=uuid7(), tenant=script.tenant, reason="on we go", **scope))

    def _scope(self, script: Script, about: str) -> dict[str, Any]:
        match about:
            case "everyone":
                return {"everyone": True}
            case "tenant":
                return {}
            case "worker":
                chance = self.fleet.fates.stream("stops.who")
                return {"worker": chance.choice(sorted(n for n in self.fleet.nodes if n.startswith("w")))}
            case "agent":
                return {"everyone": True, "agent": "actor"}
            case "agent of the tenant":
                return {"agent": "actor"}
        return {"mission": script.mission}

    @property
    def ears(self) -> Ears:
        """Whoever stops work sends it on the air first."""
        if self._ears is None:
            self._ears = self.fleet.ears()
        return self._ears

    async def calm(self) -> None:
        """Lift whatever is stopped; a command that was delivered twice may stop something once more."""
        await asyncio.sleep(12.0)
        for tenant in sorted({script.tenant for script in self.fleet.scenario.scripts}):
            await self.fleet.ask(ResumeWork(id=uuid7(), tenant=tenant, everyone=True))

    def at_rest(self) -> None:
        """Nothing: that everything goes on after the lifting is said by every mission's end."""


def _managers_do_not_know() -> Any:
    return patch.object(StandingStops, "holds", lambda *_: None)


def _workers_do_not_know() -> Any:
    return patch.object(Watch, "may_begin", lambda *_: True)


def _stops_cost_attempts() -> Any:
    return patch.object(recovering, "UNCOUNTED", frozenset({NotBegun.code}))


def _lifting_is_forgotten() -> Any:
    sound = stopping.within
    return patch.object(stopping, "within", lambda stop, scope: sound(stop, scope) and not stop.agent)


def _liftings_are_not_recognised() -> Any:
    sound = stopping.read_stops

    async def read_stops(log: Any, **more: Any) -> Any:
        record = await sound(log, **more)
        record.asked.clear()
        return record

    return patch.object(stopping, "read_stops", read_stops)


def _what_is_not_known_is_over() -> Any:
    def superseded(floor: Floor, running: Any, worker: str) -> bool:
        return running.task not in floor.attempts

    return patch.object(reflexes, "superseded", superseded)


def _eager(scenario: Scenario) -> Scenario:
    """Managers that read late, and work that takes long enough to be seen in heartbeats."""
    return replace(scenario, managers=2, rates={"news_late": 0.3, "attempt_slow": 0.5})


def _long(scenario: Scenario) -> Scenario:
    """Stops that last, where nothing else goes wrong."""
    scripts = tuple(
        replace(script, wishes=(Wish(0.4, "stop work", "mission"), Wish(9.0, "restart work", "mission")))
        for script in scenario.scripts
    )
    return replace(scenario, scripts=scripts, rates={})


def _busy(scenario: Scenario) -> Scenario:
    """Orders that reach a worker after the stop has."""
    return replace(_long(scenario), rates={"queue_late": 0.9})


class Stops(Feature):
    """Somebody stops work, and lets it go on later."""

    name, share, part = "stops", 0.2, _Part
    mutants: ClassVar = {
        "managers do not know of stops": _managers_do_not_know,
        "workers do not know of stops": _workers_do_not_know,
        "stops cost attempts": _stops_cost_attempts,
        "some stops are never lifted": _lifting_is_forgotten,
        "liftings are not recognised": _liftings_are_not_recognised,
        "what a manager does not know is over": _what_is_not_known_is_over,
    }
    sharper: ClassVar = {
        "managers do not know of stops": _long,
        "workers do not know of stops": _busy,
        "what a manager does not know is over": _eager,
    }

    def wishes(self, rng: Random, script: Script) -> tuple[Wish, ...]:
        wishes: list[Wish] = []
        for _ in range(rng.choice((0, 1, 1, 2))):
            at, scope = rng.random() * rng.choice((2.0, 8.0)), rng.choice(_SCOPES)
            wishes.append(Wish(at, "stop work", scope))
            lifted = scope if rng.random() < 0.7 else rng.choice(_SCOPES)
            if rng.random() < 0.8:
                wishes.append(Wish(at + rng.random() * rng.choice((1.0, 6.0, 40.0)), "restart work", lifted))
        return tuple(wishes)
