"""Order in a graph of names: what comes first, what lies above, and where it goes round in a circle. All linear."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

type Needs = Mapping[str, Collection[str]]


def in_order(needs: Needs) -> list[str]:
    """The names such that each comes after all it needs (Kahn's algorithm); what hangs on a cycle is left out."""
    waiting = {name: len(set(below)) for name, below in needs.items()}
    followers: dict[str, list[str]] = {name: [] for name in needs}
    for name, below in needs.items():
        for need in set(below):
            followers[need].append(name)
    order = [name for name, count in waiting.items() if count == 0]
    for name in order:  # grows while it is walked
        for follower in followers[name]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                order.append(follower)
    return order


def find_cycle(needs: Needs) -> list[str] | None:
    """Some cycle ``[a, b, a]``, each needing the next, or None. All needs must themselves be names of the graph."""
    left = needs.keys() - set(in_order(needs))
    # What is left needs something that is left: walking on for ever, one comes back to where one was.
    name = next((name for name in needs if name in left), None)
    seen: dict[str, int] = {}
    walked: list[str] = []
    while name is not None and name not in seen:
        seen[name] = len(walked)
        walked.append(name)
        name = next((need for need in needs[name] if need in left), None)
    return None if name is None else [*walked[seen[name] :], name]


def shown_cycle(cycle: list[str]) -> str:
    """``a -> b -> a``, with the middle of a very long one left out."""
    return " -> ".join(cycle if len(cycle) <= 12 else [*cycle[:8], f"({len(cycle) - 11} more)", *cycle[-3:]])


class Ancestry:
    """Who needs whom, directly or through others. The names' sets are bits of one number each: 10 000 are 12 MB."""

    def __init__(self, needs: Needs) -> None:
        self._bit = {name: 1 << at for at, name in enumerate(needs)}
        self._above: dict[str, int] = {}
        for name in in_order(needs):
            self._above[name] = _union(self._bit[need] | self._above[need] for need in needs[name])

    def reaches(self, name: str, other: str) -> bool:
        """Whether ``name`` needs ``other``, however many steps away. True for what hangs on a cycle."""
        above = self._above.get(name)
        return above is None or bool(above & self._bit[other])


def _union(sets: Iterator[int]) -> int:
    union = 0
    for one in sets:
        union |= one
    return union
