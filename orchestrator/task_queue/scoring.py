"""How workers are weighed against one another: one pure function, every term of which is said.

points = - load + warm + quality * expected success + cost * (cheapest / its cost) + speed * (quickest / its time)

``load`` is attempts that wait or run for each worker, so a point is worth one attempt of waiting. ``warm`` is half a
point for a host that has the task's file tree: it is preferred while it has at most half an attempt a worker more to
do. ``quality``, ``cost`` and ``speed`` are the weights of the plan (``prefer``). What nobody knows yet counts as the
best, for only a try can tell; the expected success of who was never tried is one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.registry.tally import Tally
from schemas.candidates import Candidate
from schemas.plan import Prefer

WARM = 0.5
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Group:
    """The workers of one profile, and what is known of them at the skill.

    Attributes:
        assigned: attempts that wait for them or run there.
        warm: their host has the file tree of the task.
    """

    profile: str
    host: str
    workers: int
    assigned: int
    tally: Tally
    warm: bool = False

    @property
    def load(self) -> float:
        """Attempts for each of them."""
        return self.assigned / self.workers


def weigh(groups: Sequence[Group], prefer: Prefer, now: float = 0.0) -> list[Candidate]:
    """All of them with their points, the best first; among equals by name, so that all managers agree.

    Args:
        now: POSIX seconds; what is known fades.
    """
    costs = _costs(groups)
    times = [group.tally.took(0.5) for group in groups]
    weighed = []
    for group, cost, time in zip(groups, costs, times, strict=True):
        terms = {
            "load": -round(group.load, 1),
            "warm": WARM * group.warm,
            "quality": prefer.quality * round(group.tally.expected_rate(now), 2),
            "cost": prefer.cost * round(_ratio(costs, cost), 2),
            "speed": prefer.speed * round(_ratio(times, time), 2),
        }
        told = {name: round(value, 3) for name, value in terms.items() if value}
        weighed.append(
            Candidate(
                profile=group.profile,
                host=group.host,
                workers=group.workers,
                points=round(sum(told.values()), 3),
                terms=told,
            )
        )
    return sorted(weighed, key=lambda one: (-one.points, one.profile))


def _costs(groups: Sequence[Group]) -> list[float | None]:
    """In money where any of them costs some, else in tokens where any takes some, else in seconds; None if unknown."""
    known = [group.tally for group in groups if group.tally.attempts]
    for unit in ("mean_usd", "mean_tokens"):
        if any(getattr(tally, unit) > 0 for tally in known):
            return [getattr(group.tally, unit) if group.tally.attempts else None for group in groups]
    return [group.tally.mean_s for group in groups]


def _ratio(values: Sequence[float | None], own: float | None) -> float:
    """The least of the values over one's own: 1 for the best, and for who is not known."""
    if own is None:
        return 1.0
    least = min(value for value in values if value is not None)
    return (least + _EPSILON) / (own + _EPSILON)


def told(candidate: Candidate) -> str:
    """For people: ``0.4 points: load -1, warm +0.5, quality +0.9``."""
    terms = ", ".join(f"{name} {value:+g}" for name, value in candidate.terms.items()) or "no terms"
    return f"{candidate.points:g} points: {terms}"
