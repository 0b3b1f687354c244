"""Back-pressure: few tasks may be open, and some submitters would rather be refused than wait."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from orchestrator.admission import Limits
from schemas.commands import SubmitMission
from schemas.errors import Busy
from schemas.events.command import CommandRefused
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from tests.simulation.feature import Feature, Part
from tests.simulation.ledger import Broken
from tests.simulation.said import Said
from tests.simulation.scenario import SKILLS, Script, Wish

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

_BUSY_ABOVE = 4
_PLAN = Plan(tasks=(TaskSpec(id="t", skill=SKILLS[0]),))


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._more = 0
        self.laws = {CommandRefused: self._refused}
        self.verbs = {"submit if there is room": self._submit}

    def orchestrator(self) -> Mapping[str, Any]:
        return {"limits": Limits(busy_above=_BUSY_ABOVE)}

    def _refused(self, said: Said) -> None:
        if said.payload.code == Busy.code:
            said.need(self._ever(said.book.key[0]) > _BUSY_ABOVE, "nobody is refused while there is room")

    def _ever(self, tenant: str) -> int:
        """How many tasks of a tenant there have been: at least as many as any orchestrator could believe open."""
        books = (seen.book for key, seen in self.fleet.checker.followed.items() if key[0] == tenant)
        return sum(len(book.tasks) + len(book.groups) for book in books)

    async def _submit(self, script: Script, wish: Wish) -> None:
        self._more += 1
        name = f"more{self._more}"
        reply = await self.fleet.ask(
            SubmitMission(id=uuid7(), tenant=script.tenant, mission=name, objective="o", plan=_PLAN, if_busy="refuse")
        )
        seen = self.fleet.checker.followed.get((script.tenant, name))
        begun = seen is not None and bool(seen.book.submission)
        if reply is not None and reply.accepted and not begun:
            raise Broken("the answer says what was done", (script.tenant, name), "accepted, and never begun")
        if reply is not None and reply.busy and reply.open_tasks <= _BUSY_ABOVE:
            raise Broken("nobody is told to slow down while there is room", (script.tenant, name), str(reply))


def _everybody_is_refused() -> Any:
    def check(self: Limits, load: int, command: SubmitMission) -> None:
        if command.if_busy == "refuse":
            raise Busy("no room")

    return patch.object(Limits, "check", check)


class Pressure(Feature):
    """Small missions beside the others, for whose submitters there may be no room."""

    name, share, part = "pressure", 0.12, _Part
    mutants: ClassVar = {"everybody is refused": _everybody_is_refused}

    def wishes(self, rng: Random, script: Script) -> tuple[Wish, ...]:
        count = rng.choice((1, 2, 3))
        return tuple(Wish(rng.random() * 4.0, "submit if there is room") for _ in range(count))
