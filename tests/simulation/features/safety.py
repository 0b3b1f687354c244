"""Safety constraints: agents that run forbidden commands, talk to forbidden hosts, spend too fast, fail too often."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from orchestrator.task_queue import floor as floors
from orchestrator.task_queue import safety as guarding
from schemas.commands import ResumeMission
from schemas.errors import Forbidden
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.mission import (
    MissionCancelled,
    MissionCompleted,
    MissionFailed,
    MissionReopened,
    MissionResumed,
)
from schemas.events.tool import ToolCalled
from schemas.events.world import WorldTripped, WorldViolated
from schemas.ids import uuid7
from schemas.plan import Plan
from schemas.safety import Safety
from schemas.signals import Stop
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.ledger import Place, Span
from tests.simulation.said import Said

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_SURELY = timedelta(seconds=15)
"""What was spent within so little is within a minute by everybody's clock, jumps and all."""


@dataclass
class _Watched:
    """What counts in one mission: the first breach since it was last resumed, and the trip."""

    broken_at: Place | None = None
    tripped_at: Place | None = None
    violations: int = 0
    spent: list[tuple[datetime, float]] = field(default_factory=list)
    doubtful: bool = False


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._watched: dict[tuple[str, str], _Watched] = {}
        self.laws = {
            ToolCalled: self._called,
            LlmCompleted: self._spent,
            AttemptFinished: self._finished,
            WorldViolated: self._violated,
            WorldTripped: self._tripped,
            ActionDispatched: self._dispatched,
            MissionResumed: self._resumed,
            MissionReopened: self._resumed,
            MissionCompleted: self._over,
            MissionFailed: self._over,
            MissionCancelled: self._over,
        }

    def act(self, deed: Deed) -> None:
        fates = self.fleet.fates
        if fates.strikes("spends"):
            deed.context.llm_completed("m", cost_usd=deed.chance.choice((0.2, 0.6, 1.2)))
        for kind, parameters in (
            ("runs_forbidden", {"argv": ["/bin/rm", "-r", "x"]}),
            ("calls_forbidden", {"url": "http://evil.test/x"}),
        ):
            if fates.strikes(kind):
                with suppress(Forbidden), deed.context.tool("shell", **parameters):
                    pass

    async def live(self) -> None:
        """A person who looks at what was tripped, and lets it go on."""
        chance = self.fleet.fates.stream("safety.person")
        while True:
            await asyncio.sleep(1.0)
            for key, watched in sorted(self._watched.items()):
                book = self.fleet.checker.followed[key].book
                if watched.tripped_at and book.paused_at and (self.fleet.fates.calm or chance.random() < 0.3):
                    await self.fleet.ask(ResumeMission(id=uuid7(), tenant=key[0], mission=key[1]))

    def _of(self, said: Said) -> tuple[_Watched, Safety]:
        watched = self._watched.setdefault(said.book.key, _Watched())
        return watched, said.book.plan.safety if said.book.plan is not None else Safety()

    def _break(self, said: Said, watched: _Watched, broken: object) -> None:
        if broken and watched.broken_at is None and watched.tripped_at is None:
            watched.broken_at = said.place

    def _called(self, said: Said) -> None:
        watched, rules = self._of(said)
        asked = said.payload.parameters
        self._break(said, watched, rules.forbidden_commands and "argv" in asked)
        self._break(said, watched, rules.forbidden_hosts and "url" in asked)

    def _spent(self, said: Said) -> None:
        watched, rules = self._of(said)
        watched.spent.append((said.at, said.payload.cost_usd))
        if rules.max_cost_per_minute is None:
            return
        lately = sum(cost for at, cost in watched.spent if abs(said.at - at) < _SURELY)
        watched.doubtful |= sum(cost for _, cost in watched.spent) > rules.max_cost_per_minute
        self._break(said, watched, round(lately, 6) > rules.max_cost_per_minute)

    def _finished(self, said: Said) -> None:
        watched, rules = self._of(said)
        changes = said.payload.observation.changes or {}
        self._break(said, watched, rules.forbidden_paths and any(path.startswith("secret") for path in changes))

    def _violated(self, said: Said) -> None:
        watched, rules = self._of(said)
        watched.violations += 1
        most = rules.max_violations
        self._break(said, watched, most is not None and watched.violations > most)

    def _tripped(self, said: Said) -> None:
        if said.payload.spent:
            return  # that is for features/budgets.py
        watched, _ = self._of(said)
        good = watched.broken_at is not None or watched.tripped_at is not None or watched.doubtful
        said.need(good, "nothing trips unless a constraint was broken")
        watched.tripped_at, watched.broken_at = watched.tripped_at or said.place, None
        tenant, mission = said.book.key
        now = asyncio.get_running_loop().time()
        self.fleet.checker.spans.append(Span(Stop(tenant=tenant, mission=mission), now, said.place, now, trip=True))

    def _dispatched(self, said: Said) -> None:
        watched, _ = self._of(said)
        for place in (watched.broken_at, watched.tripped_at):
            said.need(place is None or not said.knew(place), "nothing is sent once a constraint is broken")

    def _resumed(self, said: Said) -> None:
        watched, _ = self._of(said)
        watched.broken_at = watched.tripped_at = None
        self._over(said)

    def _over(self, said: Said) -> None:
        """The mission is held no longer, by whatever tripped."""
        for span in self.fleet.checker.spans:
            if span.trip and (span.stop.tenant, span.stop.mission) == said.book.key and span.until is None:
                span.until = asyncio.get_running_loop().time()


def _breaches_are_overlooked() -> Any:
    return patch.object(guarding, "_breach", lambda *_: None)


def _trips_do_not_hold() -> Any:
    sound = floors._guarded

    def guarded(floor: Any, fact: Any) -> Any:
        after = sound(floor, fact)
        return floors.replace(after, guard=floors.replace(after.guard, tripped=""))

    return patch.object(floors, "_guarded", guarded)


class SafetyLimits(Feature):
    """Constraints, and agents that break them."""

    name, share, part = "safety", 0.2, _Part
    rates: ClassVar = {"spends": 0.3, "runs_forbidden": 0.06, "calls_forbidden": 0.06}
    mutants: ClassVar = {
        "breaches are overlooked": _breaches_are_overlooked,
        "trips do not hold": _trips_do_not_hold,
    }

    def plan(self, rng: Random, plan: Plan) -> Plan:
        safety = Safety(
            forbidden_paths=rng.choice(((), ("secret*",))),
            forbidden_commands=rng.choice(((), ("rm",))),
            forbidden_hosts=rng.choice(((), ("*.test",))),
            max_cost_per_minute=rng.choice((None, 0.5, 1.0, 3.0)),
            max_violations=rng.choice((None, None, 0, 1, 3)),
        )
        return plan.model_copy(update={"safety": safety})
