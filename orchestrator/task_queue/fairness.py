"""Whose attempt goes next: turns between priorities, between tenants, and between the missions of a tenant, by weight.

Stride scheduling (Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource Management",
1995): each has a clock that advances by 1/weight with each of its turns, and the one whose clock is behind goes first.
Who comes, or comes back, starts at the time of the others, so that nobody can save up turns. Attempts of one queue are
worth the same; with unequal ones the clock would advance by their length.

Priorities take turns as well, each with ``step`` times the turns of the one below, so a stream of urgent work leaves
the rest a share of the fleet, however small: nothing starves. A level that comes has to wait for its first turn, so
whoever is more urgent goes first unless it has had its turns.

Roads not taken: priorities that rise with the time waited (ageing; Silberschatz, Galvin and Gagne, "Operating System
Concepts", section 5.3) turn into first come, first served once a backlog is older than the ageing: ten thousand old
background attempts would then stand before everything urgent. Deficit round-robin gives the same shares, in bursts of
one mission after another; a limit for each mission leaves workers idle when only one mission is there.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

_REMEMBERED = 1000
PRIORITY_STEP = 2.0
"""How many times the turns of the priority below each priority has, where nobody says otherwise."""


def turns_of(priority: int, step: float) -> float:
    """How many turns a priority has for each one of priority 0; what is compared is the relation of two of them."""
    return step**priority


class Waits(Protocol):
    """What waits in a queue."""

    @property
    def priority(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def mission(self) -> str: ...
    @property
    def weight(self) -> float:
        """The share of its mission among those of its tenant."""


class Turns[K: Hashable]:
    """The order in which members take turns.

    Args:
        waiting: who comes waits for as long as one turn of its is worth before the first; so the heavier goes first.
    """

    def __init__(self, *, waiting: bool = False) -> None:
        self._waiting = waiting
        self._heap: list[tuple[float, int, K]] = []
        self._clocks: dict[K, float] = {}
        self._weights: dict[K, float] = {}
        self._time = 0.0
        self._numbers = itertools.count()

    def __contains__(self, member: K) -> bool:
        return member in self._weights

    def join(self, member: K, weight: float) -> None:
        """Take part from now on."""
        if member not in self._weights:
            self._weights[member] = weight
            begin = self._time + (1.0 / weight if self._waiting else 0.0)
            self._push(member, max(begin, self._clocks.get(member, 0.0)))

    def next(self) -> K:
        """Whose turn it is."""
        return self._heap[0][2]

    def took(self, *, stays: bool, turns: int = 1) -> None:
        """The next one has had its turn, or several at once; it goes on taking part, or not."""
        self._time, _, member = heapq.heappop(self._heap)
        clock = self._time + turns / self._weights[member]
        if stays:
            self._push(member, clock)
            return
        del self._weights[member]
        self._clocks[member] = clock
        if len(self._clocks) > _REMEMBERED:
            self._clocks = {name: at for name, at in self._clocks.items() if at > self._time}

    def _push(self, member: K, clock: float) -> None:
        heapq.heappush(self._heap, (clock, next(self._numbers), member))


W = TypeVar("W", bound=Waits)


class FairQueue(Generic[W]):  # noqa: UP046 - a bound by a protocol with properties reads better so
    """What waits for one queue: priorities in turns, the higher the more, and within a priority everybody in turn.

    Of n attempts that are taken while priorities p and q wait all the time, q gets ``step ** (q - p)`` times as many.
    So the k-th of those that wait with a priority p is taken at the latest as the (k + 1) · Σ ``step ** (q - p)``-th,
    with q over all ten priorities: an attempt of priority 1 behind a stream of priority 9 waits for 256 of those.

    Args:
        tenant_weight: the share of a tenant among all.
        step: at least 1, where priorities mean nothing.
    """

    def __init__(self, tenant_weight: Callable[[str], float] = lambda _: 1.0, step: float = PRIORITY_STEP) -> None:
        self._tenant_weight = tenant_weight
        self._step = step
        self._levels: dict[int, _Level[W]] = {}
        self._turns: Turns[int] = Turns(waiting=True)

    def __len__(self) -> int:
        return sum(level.size for level in self._levels.values())

    @property
    def highest(self) -> int:
        """The highest priority that waits. The queue must not be empty."""
        return max(self._levels)

    def put(self, one: W) -> None:
        """Have it wait behind the others of its mission."""
        level = self._levels.setdefault(one.priority, _Level())
        level.put(one, self._tenant_weight(one.tenant))
        self._turns.join(one.priority, turns_of(one.priority, self._step))

    def first(self) -> tuple[W, int]:
        """Who goes next, and how many wait with that priority. The queue must not be empty."""
        level = self._levels[self._turns.next()]
        return level.first(), level.size

    def take(self, most: int) -> list[W]:
        """Up to so many of the priority whose turn it is, in their order."""
        priority = self._turns.next()
        level = self._levels[priority]
        taken = [level.take() for _ in range(min(most, level.size))]
        self._turns.took(stays=bool(level.size), turns=len(taken))
        if not level.size:
            # Its clocks go as well: nobody waited, so nobody was ahead of anybody.
            del self._levels[priority]
        return taken


class _Level(Generic[W]):  # noqa: UP046 - as above
    """What waits with one priority."""

    def __init__(self) -> None:
        self.size = 0
        self._tenants: Turns[str] = Turns()
        self._missions: dict[str, Turns[str]] = {}
        self._waiting: dict[tuple[str, str], deque[W]] = {}

    def put(self, one: W, tenant_weight: float) -> None:
        self._tenants.join(one.tenant, tenant_weight)
        self._missions.setdefault(one.tenant, Turns()).join(one.mission, one.weight)
        self._waiting.setdefault((one.tenant, one.mission), deque()).append(one)
        self.size += 1

    def first(self) -> W:
        tenant = self._tenants.next()
        return self._waiting[tenant, self._missions[tenant].next()][0]

    def take(self) -> W:
        tenant = self._tenants.next()
        turns = self._missions[tenant]
        mission = turns.next()
        waiting = self._waiting[tenant, mission]
        one = waiting.popleft()
        self.size -= 1
        turns.took(stays=bool(waiting))
        if not waiting:
            del self._waiting[tenant, mission]
        stays = any(key[0] == tenant for key in self._waiting) if not waiting else True
        self._tenants.took(stays=stays)
        if not stays:
            del self._missions[tenant]
        return one
