"""What the task-queue manager knows of the workers, from their heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.task_queue.experience import Experience
from schemas.signals import Heartbeat, Running

_FORGET_S = 60.0
GRACE_S = 20.0
_SMOOTHING = 0.2


@dataclass
class Worker:
    """One worker process; times are monotonic seconds.

    Attributes:
        active_at: when it was last seen with work in hand.
        gone: its process has ended, says the witness of its pool.
        running: what it has in hand: what it said last, and what was read of it on the log since then.
    """

    beat: Heartbeat
    heard_at: float
    active_at: float
    lost: bool = False
    gone: bool = False
    running: tuple[Running, ...] = ()


@dataclass
class Situation:
    """Who is there, who fell silent, and how long work of a skill takes.

    Args:
        lease_s: after this silence a worker counts as lost.
        since: monotonic seconds at which listening began; before a lease has passed, nobody can be called silent.
        grace_s: how long a task waits for the first worker of its skill before it fails.
        elsewhere: how many attempts other managers have sent to the queues of profiles that are not claimed yet.
    """

    lease_s: float
    since: float
    grace_s: float = GRACE_S
    workers: dict[str, Worker] = field(default_factory=dict)
    experience: Experience = field(default_factory=Experience)
    elsewhere: dict[str, int] = field(default_factory=dict)
    _assigned: dict[str, int] = field(default_factory=dict)
    _planned: dict[str, int] = field(default_factory=dict)
    _durations: dict[str, float] = field(default_factory=dict)
    _held_at: dict[Running, float] = field(default_factory=dict)

    def hear(self, beat: Heartbeat, now: float) -> None:
        """Take in a heartbeat."""
        known = self.workers.get(beat.worker)
        if known is not None and known.gone:
            return  # a last word that was on its way; no other process will ever have this name
        # Short attempts begin and end between two heartbeats, and what other managers lead is only seen here.
        worked = known is None or (beat.done, beat.failed) != (known.beat.done, known.beat.failed)
        active_at = now if beat.running or known is None or worked else known.active_at
        self.workers[beat.worker] = Worker(beat, now, active_at, gone=beat.gone, running=beat.running)
        self._held_at.update(dict.fromkeys(beat.running, now))

    def began(self, name: str, attempt: Running, now: float) -> None:
        """Take note that a worker has just claimed an attempt."""
        self._held_at[attempt] = now
        if (worker := self.workers.get(name)) is not None:
            worker.active_at = now
            worker.running = (*(one for one in worker.running if one != attempt), attempt)

    def ended(self, name: str, attempt: Running, now: float) -> None:
        """Take note that a worker has reported an attempt."""
        self.released(attempt)
        if (worker := self.workers.get(name)) is not None:
            worker.active_at = now
            worker.running = tuple(one for one in worker.running if one != attempt)

    def released(self, attempt: Running) -> None:
        """Take note that an attempt has ended."""
        self._held_at.pop(attempt, None)

    def has_dropped(self, attempt: Running, worker: str, now: float) -> bool:
        """Whether no worker has had the attempt in hand for a whole lease: it was made, but its report was lost.

        A witness only repeats what the worker said before it began, so it is no witness to that.
        """
        known = self.workers.get(worker)
        if known is not None and known.beat.vouched:
            self._held_at[attempt] = now
        return now - self._held_at.setdefault(attempt, now) > self.lease_s

    def sweep(self, now: float) -> Iterator[tuple[str, float]]:
        """Workers that have just become lost, with the seconds of their silence; long-lost ones are forgotten."""
        for attempt in [attempt for attempt, at in self._held_at.items() if now - at > _FORGET_S]:
            del self._held_at[attempt]  # it came to an end that nobody told; whoever still has it says so all the time
        for name, worker in list(self.workers.items()):
            silent = now - worker.heard_at
            if silent > _FORGET_S:
                del self.workers[name]
            elif (worker.gone or silent > self.lease_s) and not worker.lost:
                worker.lost = True
                if worker.gone or not worker.beat.leaving:
                    yield name, silent

    def is_lost(self, name: str, now: float) -> bool:
        """Whether the worker's lease has ended."""
        worker = self.workers.get(name)
        if worker is not None and worker.gone:
            return True
        heard = self.since if worker is None else worker.heard_at
        return now - heard > self.lease_s

    def has_ended(self, name: str) -> bool:
        """Whether a witness has seen the end of the worker's process."""
        worker = self.workers.get(name)
        return worker is not None and worker.gone

    def has_left(self, name: str) -> bool:
        """Whether the worker has said goodbye: it has nothing in hand any more."""
        worker = self.workers.get(name)
        return worker is not None and worker.beat.leaving and not worker.gone

    def how_lost(self, name: str) -> str:
        """In words, for people."""
        worker = self.workers.get(name)
        if worker is not None and worker.gone:
            return f"the process of worker {name} has ended without a goodbye"
        return f"worker {name} fell silent for more than {self.lease_s:g} s"

    def excuse(self, seconds: float, now: float) -> None:
        """Take note that nobody listened for so long: that was not the workers' silence."""
        self.since = min(now, self.since + seconds)
        for worker in self.workers.values():
            worker.heard_at = min(now, worker.heard_at + seconds)
        self._held_at = {attempt: min(now, at + seconds) for attempt, at in self._held_at.items()}

    def offering(self, skill: str) -> list[Worker]:
        """Living workers that take this skill."""
        return [w for w in list(self.workers.values()) if not w.lost and w.beat.available and skill in w.beat.skills]

    def reading(self, queue: str) -> list[Worker]:
        """Living workers that read this queue."""
        return [w for w in list(self.workers.values()) if not w.lost and w.beat.available and w.beat.takes(queue)]

    def takes(self, name: str, queue: str) -> bool:
        """Whether a worker is there and takes what comes to this queue."""
        worker = self.workers.get(name)
        return worker is not None and not worker.lost and worker.beat.available and worker.beat.takes(queue)

    def assign(self, queue: str, change: int) -> None:
        """Take note that so many attempts more or less wait in the queue of a profile."""
        left = self._assigned.get(queue, 0) + change
        if left > 0:
            self._assigned[queue] = left
        else:
            self._assigned.pop(queue, None)

    def plan(self, queue: str) -> None:
        """Take note that the decision under way sends one more to the queue of a profile."""
        self._planned[queue] = self._planned.get(queue, 0) + 1

    def plan_anew(self) -> None:
        """Another decision begins: what came of the last one is read from the log."""
        self._planned.clear()

    def assigned(self, queue: str) -> int:
        """How many attempts were sent to the queue of a profile, or are just being sent, and are not claimed yet."""
        return self._assigned.get(queue, 0) + self._planned.get(queue, 0) + self.elsewhere.get(queue, 0)

    def assigned_here(self) -> dict[str, int]:
        """The same without what other managers have sent, by queue."""
        return dict(self._assigned)

    def holding_back(self, skill: str) -> bool:
        """Whether a living worker would take this skill, were it not stopped."""
        return any(not w.lost and skill in w.beat.held for w in list(self.workers.values()))

    def keeping_back(self, queue: str) -> bool:
        """Whether a living worker would read this queue, were it not stopped."""
        return any(
            not w.lost and w.beat.available and w.beat.takes(queue, stopped=True) for w in list(self.workers.values())
        )

    def skills(self) -> list[str]:
        """All skills on offer."""
        return sorted(
            {s for w in list(self.workers.values()) if not w.lost and w.beat.available for s in w.beat.skills}
        )

    def running(self) -> Iterator[tuple[str, Running]]:
        """Every attempt that a living worker says it has in hand."""
        for name, worker in self.workers.items():
            if not worker.lost:
                for running in worker.beat.running:
                    yield name, running

    def took(self, skill: str, seconds: float) -> None:
        """Learn how long an attempt of a skill took (exponential mean)."""
        known = self._durations.get(skill)
        self._durations[skill] = seconds if known is None else known + _SMOOTHING * (seconds - known)

    def expected_s(self, skill: str) -> float | None:
        """How long an attempt of this skill takes; None before the first."""
        return self._durations.get(skill)
