"""What waits for workers and what they have in hand, for each skill: the answer to the question ``task-queue.backlog``.

It is what a scaler looks at, what back-pressure compares with its bound, and what ``stig workers list`` shows.
"""

from __future__ import annotations

import msgspec

BACKLOG = "task-queue.backlog"


class SkillBacklog(msgspec.Struct, frozen=True):
    """One skill of one tenant.

    Attributes:
        ready: attempts that wait for somebody with the skill.
        queued: attempts that were dispatched and that nobody has claimed yet.
        running: attempts that workers have claimed.
        oldest_s: how long the oldest of ``ready`` and ``queued`` has waited: the lag.
        missions: how many missions have such attempts.
        workers: workers that take the skill now.
    """

    skill: str
    ready: int = 0
    queued: int = 0
    running: int = 0
    oldest_s: float = 0.0
    missions: int = 0
    workers: int = 0

    @property
    def waiting(self) -> int:
        """Attempts that no worker has yet."""
        return self.ready + self.queued
