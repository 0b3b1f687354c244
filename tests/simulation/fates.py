"""Misfortunes: each kind has a name, a likelihood and a stream of chance of its own.

Because the streams are separate, switching one kind off leaves the others' draws as they were. Every misfortune that
strikes has a number within its kind, so a single one can be spared: that is how a failing history is made small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from random import Random

RATES: Mapping[str, float] = {
    # the log, for every call of whoever uses it
    "log_slow": 0.03,
    "log_refused": 0.01,
    "log_unsure": 0.02,
    "log_lingers": 0.3,  # of the writes that their writer dies over: they arrive all the same
    "news_late": 0.04,
    "nonsense": 0.01,
    # deciders
    "killed_before_write": 0.015,
    "killed_after_write": 0.025,
    "decider_killed": 0.08,  # a second, for the whole fleet
    "clock_jump": 0.04,  # a second, for the whole fleet
    # commands
    "command_doubled": 0.15,
    "command_late": 0.1,
    "answer_lost": 0.1,
    # the queue
    "queue_lost": 0.1,
    "queue_doubled": 0.08,
    "queue_late": 0.1,
    # signals
    "signal_lost": 0.06,
    "signal_late": 0.05,
    "signal_doubled": 0.03,
    # workers
    "worker_killed": 0.06,
    "worker_frozen": 0.08,
    "worker_deaf": 0.03,
    "report_doubled": 0.08,
    "report_late": 0.08,
    "attempt_fails": 0.12,
    "attempt_crashes": 0.04,
    "attempt_lies": 0.08,
    "attempt_slow": 0.1,
    "attempt_ignores_stops": 0.25,  # of the slow ones
}
"""How likely each kind is at each occasion. A new kind: give it a line here and ask :meth:`Fates.strikes` where it can
happen."""

type Fate = tuple[str, int]
"""A misfortune: its kind, and the how-manieth of its kind it is."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A misfortune that came about, ``at`` virtual seconds."""

    fate: Fate
    at: float


class Fates:
    """What goes wrong in one run.

    Args:
        seed: of all chance.
        rates: kind to likelihood; a kind that is missing never strikes.
        only: if given, just these strike.
        now: virtual seconds.
    """

    def __init__(
        self, seed: int, rates: Mapping[str, float], only: Collection[Fate] | None, now: Callable[[], float]
    ) -> None:
        self._seed, self._rates, self._now = seed, rates, now
        self._only = None if only is None else frozenset(only)
        self._streams: dict[str, Random] = {}
        self._counts: Counter[str] = Counter()
        self.struck: list[Struck] = []
        self.calm = False

    def stream(self, name: str) -> Random:
        """The chance of one concern; asking for another never changes it."""
        if (found := self._streams.get(name)) is None:
            found = self._streams[name] = Random(f"{self._seed}/{name}")
        return found

    def strikes(self, kind: str, share: float = 1.0) -> bool:
        """Whether a misfortune of this kind happens here and now; ``share`` of its likelihood."""
        if self.calm:
            return False
        rate = self._rates.get(kind, 0.0)
        if rate <= 0.0 or self.stream(kind).random() >= rate * share:
            return False
        self._counts[kind] += 1
        fate = (kind, self._counts[kind])
        if self._only is not None and fate not in self._only:
            return False
        self.struck.append(Struck(fate, self._now()))
        return True

    def size(self, kind: str, least: float, most: float) -> float:
        """How bad it is, for instance in seconds."""
        return least + self.stream(f"{kind}.size").random() * (most - least)
