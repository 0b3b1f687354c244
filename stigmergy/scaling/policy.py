"""How many workers a skill should have. Pure: what waits and what has been enough come in, the number goes out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.backlog import SkillBacklog


@dataclass(frozen=True, slots=True)
class Rules:
    """What a scaler keeps to.

    Attributes:
        bounds: least and most workers by skill.
        tasks: waiting and running attempts that are wanted for each worker.
        cool_s: for so long less must have been enough before workers are taken away.
    """

    bounds: Mapping[str, tuple[int, int]]
    tasks: float = 4.0
    cool_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Decision:
    """A skill shall have another number of workers."""

    skill: str
    before: int
    after: int
    reason: str


class Scaler:
    """Decides; remembers for each skill since when fewer workers would have done, and how many at most."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._less: dict[str, tuple[float, int]] = {}

    def decide(self, seen: Mapping[str, SkillBacklog], have: Mapping[str, int], now: float) -> list[Decision]:
        """What to change. Growing is immediate; shrinking goes to the most that was needed within ``cool_s``.

        Args:
            seen: what waits and runs, by skill.
            have: workers that this scaler has, by skill; other pools are not its business.
            now: monotonic seconds.
        """
        found = (
            self._one(skill, seen.get(skill, SkillBacklog(skill)), have.get(skill, 0), now)
            for skill in self.rules.bounds
        )
        return [decision for decision in found if decision is not None]

    def _one(self, skill: str, load: SkillBacklog, have: int, now: float) -> Decision | None:
        least, most = self.rules.bounds[skill]
        work = load.waiting + load.running
        wanted = min(most, max(least, math.ceil(work / self.rules.tasks)))
        each = f"{self.rules.tasks:g} for each worker; between {least} and {most}"
        why = f"{load.waiting} wait and {load.running} run, {each}"
        if wanted > have:
            self._less.pop(skill, None)
            return Decision(skill, have, wanted, why)
        if wanted == have:
            self._less.pop(skill, None)
            return None
        since, needed = self._less.get(skill, (now, 0))
        needed = max(needed, wanted)
        self._less[skill] = (since, needed)
        if now - since < self.rules.cool_s:
            return None
        del self._less[skill]
        if needed >= have:
            return None
        return Decision(skill, have, needed, f"{why}; {needed} were enough for {now - since:.0f} s")
