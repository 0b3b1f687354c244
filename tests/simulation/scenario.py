"""What is to be done in one run: who takes part, which missions there are, what is asked of them and when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from schemas.plan import Plan
from tests.simulation.fates import RATES, Fate

SKILLS = ("s", "t")


@dataclass(frozen=True)
class Wish:
    """A command, ``at`` virtual seconds after the submission of its mission. ``verb`` may be ``submit``: once more.

    ``about`` says more, in words of the feature that knows the verb.
    """

    at: float
    verb: str
    about: str = ""


@dataclass(frozen=True)
class Script:
    """One mission and everything somebody wants of it."""

    tenant: str
    mission: str
    submit_at: float
    plan: Plan
    inputs: dict[str, Any]
    wishes: tuple[Wish, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.tenant, self.mission


@dataclass(frozen=True)
class Scenario:
    """One run, complete but for chance, which comes from the seed.

    Attributes:
        rough_s: how long misfortunes may strike; afterwards everything must come to its end.
        rates: kind of misfortune to likelihood.
        only: if given, just these misfortunes strike.
        features: names of the features that take part; see :mod:`tests.simulation.features`.
        far: workers and task-queue managers have calendars that are up to an hour wrong.
    """

    seed: int
    scripts: tuple[Script, ...]
    orchestrators: int
    managers: int
    workers: int
    rough_s: float
    rates: dict[str, float] = field(default_factory=lambda: dict(RATES))
    only: frozenset[Fate] | None = None
    features: frozenset[str] = frozenset()
    far: bool = False

    def without(self, kind: str) -> Scenario:
        """The same with one kind of misfortune less."""
        return replace(self, rates={name: rate for name, rate in self.rates.items() if name != kind})

    def without_feature(self, name: str) -> Scenario:
        """The same without whatever a feature does beside the plans: its wishes, its agents' deeds, its processes."""
        return replace(self, features=self.features - {name})
