"""Budgets of missions: what their inputs and plans say may be spent, and agents that spend it and more.

Nobody is held up by them (that is for ``safety``, by the minute): the world model tells what may be spent and what was,
and must be right after every append, not only when all has come to rest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from events.codec import decode
from projections.world import budgets
from projections.world.fold import evolve
from projections.world.state import Budget, World
from schemas.errors import InvalidInput
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.mission import MissionPlanned, MissionSubmitted
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.ledger import Broken
from tests.simulation.said import Said
from tests.simulation.scenario import Script

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_NEAR = 1e-6
_BUDGETS: tuple[Any, ...] = (
    {"usd": 0.0}, {"usd": 1.5, "tokens": 2000}, {"llm_calls": 2, "seconds": 0.5, "apples": 3},
    {"usd": "much", "tokens": True, "seconds": None}, {"usd": 1e300}, [5], "much", None,
)  # fmt: skip


@dataclass
class _Account:
    """Of one mission: what it may spend and what was spent, by unit."""

    limits: dict[str, float] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._worlds: dict[str, World] = {}
        self._folded = 0
        self.laws = {
            MissionSubmitted: self._submitted,
            MissionPlanned: self._planned,
            AttemptFinished: self._worked,
            LlmCompleted: self._paid,
        }

    def act(self, deed: Deed) -> None:
        if self.fleet.fates.strikes("asks_models"):
            for _ in range(deed.chance.choice((1, 1, 4))):
                deed.context.llm_completed(
                    "m",
                    tokens_in=deed.chance.choice((0, 10, 4000)),
                    tokens_out=deed.chance.choice((0, 1, 900)),
                    cost_usd=deed.chance.choice((0.0, 1e-9, 0.1, 0.7)),
                    outcome=deed.chance.choice(("succeeded", "failed")),
                )
        if self.fleet.fates.strikes("uses_tools"):
            with deed.context.tool("look"):
                pass

    def _submitted(self, said: Said) -> None:
        account = self._account(said)
        named = said.payload.inputs.get("budget")
        for unit, limit in named.items() if isinstance(named, dict) else ():
            if type(limit) in (int, float) and abs(limit) < 1e15:
                account.limits[unit] = float(limit)

    def _planned(self, said: Said) -> None:
        account = self._account(said)
        if said.payload.plan.deadline_s is not None:
            account.limits["wall_s"] = said.payload.plan.deadline_s

    def _worked(self, said: Said) -> None:
        spent = self._account(said).spent
        spent["seconds"] += said.payload.observation.duration_s
        spent["tool_calls"] += sum(said.payload.observation.tools.values())

    def _paid(self, said: Said) -> None:
        spent, payload = self._account(said).spent, said.payload
        spent["llm_calls"] += 1
        spent["usd"] += payload.cost_usd
        spent["tokens_in"] += payload.tokens_in
        spent["tokens_out"] += payload.tokens_out
        spent["tokens"] += payload.tokens_in + payload.tokens_out

    def _account(self, said: Said) -> _Account:
        """The account of the mission, after everything that was appended before has been compared."""
        if self in self.fleet.parts:
            self._compare(before=said.place[0])
        return self._accounts.setdefault(said.book.key, _Account())

    def at_rest(self) -> None:
        """The same for what came last."""
        if self in self.fleet.parts:
            self._compare(before=self.fleet.log.stored()[-1].sequence + 1)

    def _compare(self, before: int) -> None:
        touched = set()
        for stored in self.fleet.log.stored()[self._folded :]:
            if stored.sequence >= before:
                break
            self._folded += 1
            try:
                events = decode(stored.raw, stored.subject, stored.sequence)
            except InvalidInput:
                continue
            for event in events:
                world = self._worlds.get(event.tenant) or World(event.tenant)
                self._worlds[event.tenant] = evolve(world, event)
                touched.add((event.tenant, event.mission))
        for key in sorted(touched & set(self._accounts)):
            told = self._worlds[key[0]].missions[key[1]].state.budget
            _need_alike(key, "limits", told.limits, self._accounts[key].limits)
            _need_alike(key, "spent", told.spent, self._accounts[key].spent)


def _need_alike(key: tuple[str, str], what: str, told: dict[str, float], said: dict[str, float]) -> None:
    for unit in sorted({*told, *said}):
        there, here = told.get(unit, 0.0), said.get(unit, 0.0)
        if abs(there - here) > _NEAR or (what == "limits" and (unit in told) != (unit in said)):
            raise Broken("budgets are told as they were said and spent", key, f"{what}: {there} {unit}, not {here}")


def _failed_calls_are_free() -> Any:
    sound = budgets.spent
    return patch.object(
        budgets, "spent", lambda mission, event: mission if b'"failed"' in bytes(event.data) else sound(mission, event)
    )


def _plans_replace_what_inputs_allow() -> Any:
    return patch.object(
        budgets, "limited", lambda budget, deadline_s: Budget({} if deadline_s is None else {"wall_s": deadline_s})
    )


class Budgets(Feature):
    """Missions that name a budget, of any shape, and spend."""

    name, share, part = "budgets", 0.2, _Part
    rates: ClassVar = {"asks_models": 0.4, "uses_tools": 0.3}
    mutants: ClassVar = {
        "failed calls of models are free": _failed_calls_are_free,
        "a plan forgets what inputs allow": _plans_replace_what_inputs_allow,
    }

    def script(self, rng: Random, script: Script) -> Script:
        budget = rng.choice(_BUDGETS)
        return super().script(rng, replace(script, inputs={**script.inputs, "budget": budget}))
