"""Several tenants whose missions have the same names: nothing that one does may show in another's."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from orchestrator.task_queue import rules
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptStarted
from tests.simulation.feature import Feature, Part
from tests.simulation.said import Said
from tests.simulation.scenario import Scenario

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_TENANTS = ("default", "acme", "zeta")


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.laws = {ActionDispatched: self._dispatched, AttemptStarted: self._started}

    def _dispatched(self, said: Said) -> None:
        order = said.payload.order
        said.need((order.tenant, order.mission) == said.book.key, "an order is for the mission that it is recorded in")

    def _started(self, said: Said) -> None:
        said.need(said.book.plan is not None, "nothing begins in a mission that was never planned")


def _orders_lose_their_tenant() -> Any:
    sound = rules._order

    def order(*arguments: Any) -> Any:
        made = sound(*arguments)
        return made.model_copy(update={"order": made.order.model_copy(update={"tenant": "default"})})

    return patch.object(rules, "_order", order)


class Tenants(Feature):
    """The same missions for up to three tenants."""

    name, share, part = "tenants", 0.15, _Part
    mutants: ClassVar = {"orders lose their tenant": _orders_lose_their_tenant}

    def draw(self, rng: Random, scenario: Scenario) -> Scenario:
        scenario = super().draw(rng, scenario)
        first = rng.randrange(len(_TENANTS))
        scripts = tuple(
            replace(script, tenant=_TENANTS[(first + number) % len(_TENANTS)], mission="m0")
            for number, script in enumerate(scenario.scripts)
        )
        return replace(scenario, scripts=scripts)
