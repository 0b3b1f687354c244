"""How many attempts of a skill may begin in a time: a token bucket each.

Several managers have a bucket each, and each fills by the part that is due to its manager
(:mod:`orchestrator.task_queue.demand`): the sum of the parts is 1. While what they know of one another is half a second
old, it may be more or less for as long.
"""

from __future__ import annotations

from dataclasses import dataclass

_LOOK_S = 0.5


@dataclass
class Bucket:
    """Fills with ``rate`` tokens a second up to what one second gives, one at least; an attempt takes one."""

    rate: float
    filled_at: float
    tokens: float = 1.0

    def available(self, now: float, share: float = 1.0) -> int:
        """How many attempts may go now; ``now`` in monotonic seconds. ``share``: the part of the rate that is ours."""
        rate = self.rate * share
        self.tokens = min(max(1.0, rate), self.tokens + (now - self.filled_at) * rate)
        self.filled_at = now
        # A token that has nearly dripped counts: rounding must not make a timer that fires a hair too early go round.
        return int(self.tokens + 1e-6)

    def take(self, count: int) -> None:
        """So many go."""
        self.tokens -= count

    def next_s(self, share: float = 1.0) -> float:
        """Seconds until one may go, or until it is worth looking again, for shares change."""
        left = max(0.0, (1.0 - self.tokens) / (self.rate * share))
        return left if share == 1.0 else min(left, _LOOK_S)
