"""Budgets of missions: plans that say what may be spent, agents that spend it and more, and a person who allows more.

What was spent is counted here by itself. The deciders must hold a mission when it has spent what it may, and none that
has not; the world model tells what may be spent and what was, and must be right after every append.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from msgspec.structs import replace

from events.codec import decode
from orchestrator.core import decide as deciding
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue import reflexes, spending
from projections.world import budgets
from projections.world.fold import evolve
from projections.world.state import World
from schemas.budgets import EXCEEDED, Budget
from schemas.commands import ResumeMission
from schemas.errors import InvalidInput
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from schemas.events.mission import MissionPaused, MissionPlanned, MissionReopened, MissionResumed
from schemas.events.tool import ToolCalled
from schemas.events.world import WorldTripped, WorldWarned
from schemas.ids import uuid7
from schemas.plan import Plan
from schemas.signals import Stop
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.ledger import Broken, Place, Span
from tests.simulation.said import Said
from tests.simulation.scenario import Scenario

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_NEAR = 1e-6
_WHOLE = ("tokens", "llm_calls", "tool_calls")


@dataclass
class _Account:
    """Of one mission: what it may spend and what was spent, by unit.

    Attributes:
        reached_at: where a limit was reached; None if none is. ``held_at``: where that was first said since the
            mission was last resumed, with what had been spent.
    """

    limits: dict[str, float] = field(default_factory=dict)
    wall_s: float | None = None
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    reached_at: Place | None = None
    held_at: Place | None = None
    held: dict[str, float] = field(default_factory=dict)
    warned: set[tuple[str, float]] = field(default_factory=set)

    def over(self) -> list[str]:
        return [unit for unit, limit in self.limits.items() if round(self.spent[unit], 9) >= limit]

    def look(self, place: Place) -> None:
        self.reached_at = (self.reached_at or place) if self.over() else None


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._worlds: dict[str, World] = {}
        self._folded = 0
        self.laws = {
            MissionPlanned: self._planned,
            AttemptFinished: self._worked,
            LlmCompleted: self._paid,
            ToolCalled: self._called,
            WorldTripped: self._tripped,
            WorldWarned: self._warned,
            MissionPaused: self._paused,
            ActionDispatched: self._dispatched,
            MissionResumed: self._resumed,
            MissionReopened: self._reopened,
        }

    # what agents do, and a person

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

    async def live(self) -> None:
        """A person who looks at what is held, and lets it go on with more; or tries to with too little."""
        chance = self.fleet.fates.stream("budgets.person")
        while True:
            await asyncio.sleep(1.0)
            for key, account in sorted(self._accounts.items()):
                calm = self.fleet.fates.calm
                held = account.held_at is not None and self.fleet.checker.followed[key].book.paused_at is not None
                if held and (calm or chance.random() < 0.3):
                    times = 10.0 if calm else chance.choice((0.5, 1.0, 1.5, 10.0))
                    more = {unit: max(account.spent[unit], limit) * times for unit, limit in account.limits.items()}
                    budget = Budget.model_validate(
                        {unit: ceil(limit) if unit in _WHOLE else limit for unit, limit in more.items()}
                    )
                    await self.fleet.ask(ResumeMission(id=uuid7(), tenant=key[0], mission=key[1], budget=budget))

    # what is said

    def _planned(self, said: Said) -> None:
        account = self._account(said)
        account.wall_s = said.payload.plan.deadline_s
        account.limits = dict(said.payload.plan.budget)
        account.limits = {unit: limit for unit, limit in account.limits.items() if limit is not None}

    def _worked(self, said: Said) -> None:
        self._spend(said, seconds=said.payload.observation.duration_s)

    def _called(self, said: Said) -> None:
        self._spend(said, tool_calls=1)

    def _paid(self, said: Said) -> None:
        call = said.payload
        tokens = {"tokens_in": call.tokens_in, "tokens_out": call.tokens_out}
        self._spend(said, llm_calls=1, cost=call.cost_usd, tokens=sum(tokens.values()), **tokens)

    def _spend(self, said: Said, **amounts: float) -> None:
        account = self._account(said)
        for unit, more in amounts.items():
            account.spent[unit] += more
        account.look(said.place)

    def _tripped(self, said: Said) -> None:
        account, told = self._account(said), said.payload.spent
        if not told:
            return  # that is for features/safety.py
        known = {unit: amount for unit, amount in told.items() if unit in account.limits}
        said.need(known == told, "only a budget that there is can be spent", str(told))
        good = all(amount <= account.spent[unit] + _NEAR for unit, amount in told.items())
        said.need(good, "nothing is said to be spent that was not", f"{told}, not {dict(account.spent)}")
        if all(amount < account.limits[unit] for unit, amount in told.items()):
            return  # more was allowed meanwhile: nobody is held by it
        said.need(account.held_at is None, "a mission is held once")
        account.held_at, account.held = said.place, told
        now = asyncio.get_running_loop().time()
        tenant, mission = said.book.key
        self.fleet.checker.spans.append(Span(Stop(tenant=tenant, mission=mission), now, said.place, now, trip=True))

    def _warned(self, said: Said) -> None:
        account, limits = self._account(said), set(said.payload.limits.items())
        good = all(account.spent[unit] >= 0.8 * limit - _NEAR for unit, limit in limits)
        said.need(good, "nobody is warned before most is spent", f"{limits} {dict(account.spent)}")
        said.need(not limits & account.warned, "of a limit one is warned once", str(limits))
        account.warned |= limits

    def _paused(self, said: Said) -> None:
        account = self._account(said)
        if said.payload.reason.startswith(EXCEEDED):
            said.need(bool(account.over()), "nobody is held below the limit", f"{account.limits} {dict(account.spent)}")

    def _dispatched(self, said: Said) -> None:
        account = self._account(said)
        for place in (account.reached_at, account.held_at):
            said.need(place is None or not said.knew(place), "nothing is sent of a mission that has spent its budget")

    def _resumed(self, said: Said) -> None:
        account = self._account(said)
        account.limits.update((unit, limit) for unit, limit in said.payload.budget if limit is not None)
        if account.held_at is not None and account.held_at < (said.book.paused_at or (0, 0)):  # its author has read it
            more = all(account.limits[unit] > amount for unit, amount in account.held.items())
            said.need(more, "what is held goes on with more", f"{account.limits} after {account.held}")
        self._lifted(said, account)

    def _reopened(self, said: Said) -> None:
        self._lifted(said, self._account(said))

    def _lifted(self, said: Said, account: _Account) -> None:
        account.reached_at = account.held_at = None
        account.look(said.place)

    # what the world model says

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
            account, told = self._accounts[key], self._worlds[key[0]].missions[key[1]].state.budget
            deadline = {} if account.wall_s is None else {"wall_s": account.wall_s}
            _need_alike(key, "limits", told.limits, {**account.limits, **deadline})
            _need_alike(key, "spent", told.spent, account.spent)


def _need_alike(key: tuple[str, str], what: str, told: dict[str, float], said: dict[str, float]) -> None:
    for unit in sorted({*told, *said}):
        there, here = told.get(unit, 0.0), said.get(unit, 0.0)
        if abs(there - here) > _NEAR or (what == "limits" and (unit in told) != (unit in said)):
            raise Broken("budgets are told as they were said and spent", key, f"{what}: {there} {unit}, not {here}")


def _failed_calls_are_free() -> Any:
    sound = budgets.spent
    return patch.object(
        budgets,
        "spent",
        lambda mission, event: mission if getattr(event, "outcome", "") == "failed" else sound(mission, event),
    )


def _spending_is_overlooked() -> Any:
    return patch.object(floors, "spend", lambda guard, _payload, **_: guard)


def _what_was_spent_is_forgotten() -> Any:
    sound = floors.lifted
    return patch.object(floors, "lifted", lambda guard, *budget: replace(sound(guard, *budget), total={}))


def _warnings_are_not_noted() -> Any:
    return patch.object(floors, "warned", lambda guard, _warning: guard)


def _limits_are_passed_by() -> Any:
    def reached(limits: dict[str, float], spent: dict[str, float]) -> dict[str, float]:
        return {unit: spent[unit] for unit, limit in limits.items() if spent.get(unit, 0.0) > limit}

    return patch.object(spending, "reached", reached)


def _anybody_may_go_on() -> Any:
    return patch.object(deciding, "reached", lambda _limits, _spent: {})


def _workers_forget_trips() -> Any:
    """Stops of this moment only: what waits in queues begins nevertheless."""
    sound = reflexes.trip_of
    return patch.object(reflexes, "trip_of", lambda floor, guard: replace(sound(floor, guard), id=""))


def _crowded(scenario: Scenario) -> Scenario:
    """More work than hands, where nothing else goes wrong: orders wait in queues when the budget is spent."""
    seconds = Budget(seconds=0.5)
    scripts = tuple(
        replaced(script, plan=script.plan.model_copy(update={"budget": seconds}), wishes=())
        for script in scenario.scripts
    )
    return replaced(scenario, scripts=scripts, rates={}, workers=1)


class Budgets(Feature):
    """Missions that have a budget, and spend."""

    name, share, part = "budgets", 0.2, _Part
    rates: ClassVar = {"asks_models": 0.4, "uses_tools": 0.3}
    mutants: ClassVar = {
        "failed calls of models are free": _failed_calls_are_free,
        "spending is overlooked": _spending_is_overlooked,
        "what was spent is forgotten": _what_was_spent_is_forgotten,
        "limits are passed by": _limits_are_passed_by,
        "warnings are not noted": _warnings_are_not_noted,
        "workers forget that a mission is held": _workers_forget_trips,
        "anybody may go on without a larger budget": _anybody_may_go_on,
    }

    sharper: ClassVar = {"workers forget that a mission is held": _crowded}

    def plan(self, rng: Random, plan: Plan) -> Plan:
        budget = Budget(
            cost=rng.choice((None, None, 0.1, 0.75, 3.0)),
            tokens=rng.choice((None, None, 500, 9000)),
            llm_calls=rng.choice((None, None, 1, 3, 9)),
            tool_calls=rng.choice((None, None, 1, 3)),
            seconds=rng.choice((None, None, None, 0.5, 4.0)),
        )
        return plan.model_copy(update={"budget": budget})
