"""Counting rankings: instant run-off, and Schulze's method. Weights are exact fractions: no order of adding matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

type Ballots = Sequence[tuple[tuple[str, ...], Fraction]]
"""Rankings, the best first, each with its weight. What a ranking leaves out comes after all it names."""
type Tally = Mapping[str, Fraction]


def first_preferences(options: Sequence[str], ballots: Ballots) -> dict[str, Fraction]:
    """The weight behind each option as the first that a ranking names; rankings without any of them count for none."""
    tally = dict.fromkeys(options, Fraction(0))
    for ranking, weight in ballots:
        first = next((option for option in ranking if option in tally), None)
        if first is not None:
            tally[first] += weight
    return tally


def instant_runoff(options: Sequence[str], ballots: Ballots) -> tuple[tuple[str, ...], list[dict[str, Fraction]]]:
    """Who wins (several, if they are tied to the end), and the tally of every round.

    While nobody has more than half of what still counts, the option with the fewest votes is struck out, and each of
    its votes goes to the next option that it ranks (H. M. Robert, Rules of Order, "preferential voting";
    https://en.wikipedia.org/wiki/Instant-runoff_voting). Of several with the fewest the one that had fewest in the last
    round in which they differed goes, else the one that is listed last: rules that depend on nothing but the votes.
    """
    left, rounds = list(options), list[dict[str, Fraction]]()
    while True:
        tally = first_preferences(left, ballots)
        rounds.append(tally)
        most, total = max(tally.values()), sum(tally.values())
        leading = tuple(option for option in left if tally[option] == most)
        if 2 * most > total or len(leading) == len(left):
            return leading, rounds
        left.remove(_weakest(left, rounds))


def _weakest(left: Sequence[str], rounds: Sequence[Tally]) -> str:
    weakest = list(left)
    for tally in reversed(rounds):
        fewest = min(tally[option] for option in weakest)
        weakest = [option for option in weakest if tally[option] == fewest]
    return weakest[-1]


def schulze(options: Sequence[str], ballots: Ballots) -> tuple[str, ...]:
    """Who wins: one option, or several that are tied. It elects the Condorcet winner where there is one.

    ``d[a, b]`` is the weight that ranks a before b. A path is as strong as its weakest step, a step from a to b being
    worth ``d[a, b]`` if that is more than ``d[b, a]`` ("winning votes"); who has a path to everybody else at least as
    strong as the way back wins. M. Schulze, "A new monotonic, clone-independent, reversal symmetric, and
    condorcet-consistent single-winner election method", Social Choice and Welfare 36 (2011), sections 2.1-2.3.
    """
    d = _preferred(options, ballots)
    p = {(a, b): d[a, b] if d[a, b] > d[b, a] else Fraction(0) for a in options for b in options if a != b}
    for middle in options:
        for a in options:
            for b in options:
                if len({a, b, middle}) == 3:
                    p[a, b] = max(p[a, b], min(p[a, middle], p[middle, b]))
    return tuple(a for a in options if all(p[a, b] >= p[b, a] for b in options if a != b))


def _preferred(options: Sequence[str], ballots: Ballots) -> dict[tuple[str, str], Fraction]:
    d = {(a, b): Fraction(0) for a in options for b in options if a != b}
    for ranking, weight in ballots:
        place = {option: number for number, option in enumerate(ranking)}
        for a, b in d:
            if place.get(a, len(ranking)) < place.get(b, len(ranking)):
                d[a, b] += weight
    return d
