"""How many attempts of a skill may begin in a time: a token bucket each.

One manager sends what it has recorded, so a limit holds for the whole fleet as long as one manager runs. Each further
replica sends its own share of the decisions under the same limit: with n of them the sum is between one and n times it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Bucket:
    """Fills with ``rate`` tokens a second up to what one second gives, one at least; an attempt takes one."""

    rate: float
    filled_at: float
    tokens: float = 1.0

    def available(self, now: float) -> int:
        """How many attempts may go now; ``now`` in monotonic seconds."""
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        # A token that has nearly dripped counts: rounding must not make a timer that fires a hair too early go round.
        return int(self.tokens + 1e-6)

    def take(self, count: int) -> None:
        """So many go."""
        self.tokens -= count

    def next_s(self) -> float:
        """Seconds until one may go."""
        return max(0.0, (1.0 - self.tokens) / self.rate)
