"""What is known of attempts of one kind: how many ended how, how long they took, what they cost; old ones fade.

Counts are of everything that was taken in. Rates and means weigh an attempt by its age, half after :data:`HALF_LIFE_S`:
an agent that was mended, or has got worse, is not judged by last month for ever. Percentiles are of the newest
attempts only, for the same reason.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

HALF_LIFE_S = 48 * 3600.0
_NEWEST = 64


@dataclass(frozen=True, slots=True)
class Spent:
    """What language models took of an attempt: tokens in and out together, and US dollars."""

    tokens: int = 0
    usd: float = 0.0

    def plus(self, tokens: int, usd: float) -> Spent:
        """With one more call."""
        return Spent(self.tokens + tokens, self.usd + usd)


NOTHING = Spent()


@dataclass
class Tally:
    """Attempts of one kind. ``seconds`` is the sum over those that ended by themselves. Times are POSIX seconds."""

    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    violated: int = 0
    seconds: float = 0.0
    tokens: int = 0
    usd: float = 0.0
    _good: float = 0.0
    _weight: float = 0.0
    _ended: float = 0.0
    _means: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _as_of: float = 0.0
    _newest: deque[float] = field(default_factory=lambda: deque(maxlen=_NEWEST))

    def ended(self, *, well: bool | None, seconds: float, at: float = 0.0, spent: Spent = NOTHING) -> None:
        """One more attempt ended by itself; ``well`` is None where it handed its task on, which speaks neither for nor
        against it."""
        self.succeeded += well is True
        self.failed += well is False
        self.seconds += seconds
        self.tokens += spent.tokens
        self.usd += spent.usd
        self._fade(at)
        self._good += well is True
        self._weight += well is not None
        self._ended += 1
        before, given = self._means, (seconds, spent.tokens, spent.usd)
        self._means = (
            before[0] + (given[0] - before[0]) / self._ended,
            before[1] + (given[1] - before[1]) / self._ended,
            before[2] + (given[2] - before[2]) / self._ended,
        )
        self._newest.append(seconds)

    def gone(self, at: float = 0.0) -> None:
        """One more attempt was lost with its worker, or ran past its time."""
        self.lost += 1
        self._fade(at)
        self._weight += 1

    def objected(self, at: float = 0.0) -> None:
        """One that had ended well was found not to be as expected."""
        self.violated += 1
        self._fade(at)
        self._good = max(0.0, self._good - 1)

    def add(self, other: Tally) -> None:
        """Take in what another one counted; it should not be used afterwards."""
        self._fade(other._as_of)
        other._fade(self._as_of)
        both = self._ended + other._ended
        if both:
            share = other._ended / both
            mixed = [a + (b - a) * share for a, b in zip(self._means, other._means, strict=True)]
            self._means = (mixed[0], mixed[1], mixed[2])
        self._good, self._weight, self._ended = self._good + other._good, self._weight + other._weight, both
        self._newest = deque([*self._newest, *other._newest], maxlen=_NEWEST * 4)
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.lost += other.lost
        self.violated += other.violated
        self.seconds += other.seconds
        self.tokens += other.tokens
        self.usd += other.usd

    @property
    def attempts(self) -> int:
        return self.succeeded + self.failed + self.lost

    @property
    def success_rate(self) -> float | None:
        """Share of all that ended well and was found to be as expected; None before the first."""
        return max(0, self.succeeded - self.violated) / self.attempts if self.attempts else None

    def expected_rate(self, now: float = 0.0) -> float:
        """The share to expect of the next: the mean of the Beta distribution over a flat prior (rule of succession).

        What is old counts less, so that nobody is left without work for ever because of failures long ago.
        """
        faded = _faded(now - self._as_of)
        return (self._good * faded + 1) / (self._weight * faded + 2)

    @property
    def mean_s(self) -> float | None:
        """How long one takes, the newer ones more than the older ones."""
        return self._means[0] if self._ended else None

    @property
    def mean_tokens(self) -> float:
        """What one takes of language models."""
        return self._means[1]

    @property
    def mean_usd(self) -> float:
        """What one costs."""
        return self._means[2]

    def took(self, quantile: float) -> float | None:
        """So many of the newest attempts took no longer, by nearest rank: ``took(0.95)``. None before the first."""
        ordered = sorted(self._newest)
        return ordered[max(0, math.ceil(len(ordered) * quantile) - 1)] if ordered else None

    def _fade(self, at: float) -> None:
        if at <= self._as_of:
            return  # a moment earlier by another machine's clock
        if self._as_of:
            faded = _faded(at - self._as_of)
            self._good *= faded
            self._weight *= faded
            self._ended *= faded
        self._as_of = at


def _faded(age_s: float) -> float:
    return float(0.5 ** (max(0.0, age_s) / HALF_LIFE_S))
