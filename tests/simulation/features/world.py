"""The world model: its fold of the whole log says at rest what the second book-keeping says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from events.codec import decode
from projections.world import budgets
from projections.world.fold import evolve
from projections.world.state import World
from schemas.errors import InvalidInput
from schemas.events.attempt import AttemptFinished
from schemas.events.llm import LlmCompleted
from tests.simulation.feature import Feature, Part
from tests.simulation.ledger import Book, Broken
from tests.simulation.said import Said

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._spent: dict[tuple[str, str], dict[str, float]] = {}
        self.laws = {AttemptFinished: self._worked, LlmCompleted: self._paid}

    def _worked(self, said: Said) -> None:
        self._add(said, "seconds", said.payload.observation.duration_s)

    def _paid(self, said: Said) -> None:
        self._add(said, "cost", said.payload.cost_usd)

    def _add(self, said: Said, unit: str, amount: float) -> None:
        spent = self._spent.setdefault(said.book.key, {})
        spent[unit] = spent.get(unit, 0.0) + amount

    def at_rest(self) -> None:
        """Fold everything, where the feature was drawn: it costs as much as the run itself."""
        if self not in self.fleet.parts:
            return
        worlds: dict[str, World] = {}
        for stored in self.fleet.log.stored():
            try:
                events = decode(stored.raw, stored.subject, stored.sequence)
            except InvalidInput:
                continue
            for event in events:
                world = worlds.get(event.tenant) or World(event.tenant)
                worlds[event.tenant] = evolve(world, event)
        for key, seen in self.fleet.checker.followed.items():
            if seen.book.submission:
                self._compare(seen.book, worlds[key[0]].missions[key[1]])

    def _compare(self, book: Book, mission: Any) -> None:
        def need(good: bool, detail: str) -> None:
            if not good:
                raise Broken("the world model says what was said", book.key, detail)

        need(mission.state.status == book.ended, f"{mission.state.status}, not {book.ended}")
        for name, task in book.tasks.items():
            told = mission.tasks[name]
            need(told.status.value == task.ended, f"{name} is {told.status}, not {task.ended}")
            need(told.attempt == task.attempt, f"{name} is at attempt {told.attempt}, not {task.attempt}")
        need(not mission.claims, f"claims are left: {sorted(mission.claims)}")
        for unit, amount in self._spent.get(book.key, {}).items():
            told = mission.state.budget.spent.get(unit, 0.0)
            need(abs(told - amount) < 1e-3, f"{told} {unit} were spent, not {amount}")


def _spending_is_not_counted() -> Any:
    return patch.object(budgets, "spent", lambda mission, _payload: mission)


class WorldModel(Feature):
    """Seeds in which the world model is folded at the end."""

    name, share, part = "world", 0.15, _Part
    mutants: ClassVar = {"the world forgets what was spent": _spending_is_not_counted}
