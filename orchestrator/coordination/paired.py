"""Two strategies on the same missions: is one of them better, or was it chance? Pure, and the same every time.

The numbers come in pairs, one mission run both ways, so only the differences within pairs count: what makes one mission
harder than another drops out. The p-value is that of the permutation test (Fisher 1935, The Design of Experiments,
chapter 3): were there no difference, each pair could as well have been the other way round; it is the share of all
these ways in which the mean difference is at least as far from 0 as the observed one. All ways are counted up to 16
pairs; beyond, 20,000 of them are drawn from a fixed seed, and the observed one counts as well (Phipson and Smyth
2010), so that it is never 0. For successes, which are 0 or 1, it is the sign test.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

EXACT = 16
_DRAWN = 20_000
_SEED = 20_100
LEVEL = 0.05
FEWEST = 6
"""Pairs that can show anything: with 5 that all agree, p is 2 / 2**5 = 0.0625."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run of a mission. Times in seconds, money in US dollars.

    Attributes:
        critical_s: the longest way through its tasks, by how long their attempts took.
        attempts: that were announced; ``violations``: expectations found to be violated.
        worked_s: all attempts together.
    """

    success: bool
    duration_s: float
    critical_s: float = 0.0
    attempts: int = 0
    violations: int = 0
    worked_s: float = 0.0
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One property of both sides: its medians, and the p-value of the differences; None where there are too few.

    ``pairs``: how many count. Of times and costs only missions that succeeded on both sides do.
    """

    name: str
    a: float
    b: float
    p: float | None
    pairs: int

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, measure by measure, and what follows from it."""

    pairs: int
    measures: tuple[Measure, ...]
    better: str
    verdict: str


def compare(a: str, b: str, pairs: Sequence[tuple[Outcome, Outcome]]) -> Comparison:
    """Compare strategies called ``a`` and ``b`` on missions that were run both ways.

    ``better`` is the name of the one that is: the one that succeeds more often; if that shows nothing, the one that is
    over sooner; then the cheaper one. Empty if nothing shows a difference.
    """
    measures = (_successes(pairs), *_amounts([pair for pair in pairs if pair[0].success and pair[1].success]))
    for measure in measures:
        if measure.shown and measure.name in _DECIDING and measure.a != measure.b:
            better = a if (measure.a > measure.b) == (measure.name == "success") else b
            return Comparison(len(pairs), measures, better, _told(better, measure))
    return Comparison(len(pairs), measures, "", _undecided(pairs, measures))


def permutation_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the mean of paired differences; 1 if there are none. See the head of this file."""
    told = [abs(one) for one in differences if abs(one) > _TINY]
    observed = abs(sum(differences)) - _TINY
    if not told:
        return 1.0
    if len(told) <= EXACT:
        # The first sign can be held: the other half mirrors this one.
        ways = [
            sum(s * d for s, d in zip(signs, told[1:], strict=True)) for signs in product((1, -1), repeat=len(told) - 1)
        ]
        return sum(abs(told[0] + rest) >= observed for rest in ways) / len(ways)
    chance = random.Random(_SEED)  # noqa: S311 - a fixed seed is wanted: the same every time
    drawn = (sum(one if chance.random() < 0.5 else -one for one in told) for _ in range(_DRAWN))
    return (1 + sum(abs(total) >= observed for total in drawn)) / (1 + _DRAWN)


def _successes(pairs: Sequence[tuple[Outcome, Outcome]]) -> Measure:
    a, b = [float(one.success) for one, _ in pairs], [float(other.success) for _, other in pairs]
    return Measure("success", _mean(a), _mean(b), _p(a, b), len(pairs))


def _amounts(pairs: Sequence[tuple[Outcome, Outcome]]) -> list[Measure]:
    found = []
    for name in _AMOUNTS:
        a, b = [float(getattr(one, name)) for one, _ in pairs], [float(getattr(other, name)) for _, other in pairs]
        found.append(Measure(name, median(a) if a else 0.0, median(b) if b else 0.0, _p(a, b), len(pairs)))
    return found


def _p(a: Sequence[float], b: Sequence[float]) -> float | None:
    if len(a) < FEWEST:
        return None
    return permutation_p([one - other for one, other in zip(a, b, strict=True)])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _told(better: str, measure: Measure) -> str:
    low, high = sorted((measure.a, measure.b))
    what = {
        "success": f"{better} succeeds more often: {high:.0%} against {low:.0%}",
        "duration_s": f"{better} is over sooner: {low:.3g} s against {high:.3g} s",
        "usd": f"{better} is cheaper: ${low:.4f} against ${high:.4f}",
        "tokens": f"{better} takes fewer tokens: {low:,.0f} against {high:,.0f}",
        "worked_s": f"{better} takes less work: {low:.3g} s against {high:.3g} s of attempts",
    }[measure.name]
    return f"{what} (p = {measure.p:.3f})"


def _undecided(pairs: Sequence[object], measures: Sequence[Measure]) -> str:
    if len(pairs) < FEWEST:
        return f"not enough missions: {len(pairs)} pairs, and it takes {FEWEST} to show anything; --repeat makes more"
    counted = min(measure.pairs for measure in measures)
    if counted < FEWEST:
        return f"no difference in success, and only {counted} pairs succeeded on both sides: not enough for the rest"
    return f"no difference that is more than chance in {len(pairs)} pairs"


_DECIDING = ("success", "duration_s", "usd", "tokens", "worked_s")
_AMOUNTS = ("duration_s", "critical_s", "attempts", "violations", "usd", "tokens", "worked_s")
