"""Making a failing run small: fewer missions, wishes, kinds of misfortune and single misfortunes, while it fails alike.

Delta debugging (Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, 2002) over the parts of a
scenario. A smaller run draws other chances here and there, so the result is small, not the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from schemas.plan import Group, Plan, TaskSpec
from tests.simulation.fates import Fate
from tests.simulation.play import Outcome, play
from tests.simulation.scenario import Scenario, Script

type Tell = Callable[[str], None]


class Shrinking:
    """A failing scenario on its way to a smaller one.

    Args:
        scenario: fails with ``outcome``.
        most: how many runs to spend.
        tell: hears of progress.
    """

    def __init__(self, scenario: Scenario, outcome: Outcome, *, most: int = 300, tell: Tell = lambda _: None) -> None:
        self.scenario, self.outcome = scenario, outcome
        self.left = most
        self._tell = tell

    def run(self) -> tuple[Scenario, Outcome]:
        """The smallest that was found, and what came of it."""
        self._simpler_casts()
        self._scripts()
        self._kinds()
        self._misfortunes()
        self._plans()
        return self.scenario, self.outcome

    def _try(self, candidate: Scenario) -> bool:
        """Keep it if it breaks the same law."""
        if self.left <= 0 or candidate == self.scenario:
            return False
        self.left -= 1
        outcome = play(candidate)
        if outcome.law != self.outcome.law:
            return False
        self.scenario, self.outcome = candidate, outcome
        self._tell(f"{len(candidate.scripts)} missions, {len(outcome.struck)} misfortunes, {outcome.events} events")
        return True

    def _simpler_casts(self) -> None:
        for field in ("orchestrators", "managers", "workers"):
            self._try(replace(self.scenario, **{field: 1}))

    def _scripts(self) -> None:
        for script in list(self.scenario.scripts):
            rest = tuple(one for one in self.scenario.scripts if one != script)
            if rest:
                self._try(replace(self.scenario, scripts=rest))
        for number, script in enumerate(self.scenario.scripts):
            for wish in script.wishes:
                now = self.scenario.scripts[number]
                self._put(number, replace(now, wishes=tuple(one for one in now.wishes if one != wish)))

    def _put(self, number: int, script: Script) -> bool:
        scripts = (*self.scenario.scripts[:number], script, *self.scenario.scripts[number + 1 :])
        return self._try(replace(self.scenario, scripts=scripts))

    def _kinds(self) -> None:
        struck = {each.fate[0] for each in self.outcome.struck}
        harmless = replace(self.scenario, rates={k: r for k, r in self.scenario.rates.items() if k in struck})
        self._try(harmless)
        for name in sorted(self.scenario.features):
            self._try(self.scenario.without_feature(name))
        for kind in sorted(struck):
            self._try(self.scenario.without(kind))

    def _misfortunes(self) -> None:
        """ddmin over the list of those that struck."""
        parts = 2
        while True:
            fates = [each.fate for each in self.outcome.struck]
            if not fates or self.left <= 0 or parts > 2 * len(fates):
                return
            for chunk in _chunks(fates, min(parts, len(fates))):
                rest = frozenset(fates) - frozenset(chunk)
                if self._try(replace(self.scenario, only=rest)):
                    parts = max(2, parts - 1)
                    break
            else:
                parts *= 2

    def _plans(self) -> None:
        for number in range(len(self.scenario.scripts)):
            for node in _nodes(self.scenario.scripts[number].plan):
                script = self.scenario.scripts[number]
                self._put(number, replace(script, plan=_without(script.plan, node)))


def _chunks(fates: Sequence[Fate], parts: int) -> Iterator[Sequence[Fate]]:
    size = -(-len(fates) // parts)
    for start in range(0, len(fates), size):
        yield fates[start : start + size]


def _nodes(plan: Plan) -> list[str]:
    return [task.id for task in plan.tasks] + [group.id for group in plan.groups]


def _without(plan: Plan, node: str) -> Plan:
    """The plan with a task or group less; whoever needed it needs it no more."""

    def bare[T: TaskSpec | Group](one: T) -> T:
        return one.model_copy(update={"needs": tuple(need for need in one.needs if need != node)})

    return plan.model_copy(
        update={
            "tasks": tuple(bare(task) for task in plan.tasks if task.id != node),
            "groups": tuple(bare(group) for group in plan.groups if group.id != node),
            "result": {},
        }
    )
