"""What a task-queue manager has learned of workers by their profiles: how good they are, which file trees they have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from projections.registry.tally import NOTHING, Spent, Tally

_TREES = 4096
_HOSTS_OF_TREE = 64
_TALLIES = 4096
_UNDER_WAY = 20_000

type AttemptKey = tuple[str, str, str, int]
"""Tenant, mission, task, attempt."""


@dataclass
class Experience:
    """Folded from facts as they are read; all of it is bounded, the least recently used goes first.

    A file tree is *warm* on a host where an attempt was given it or made it: it lies in that machine's cache.
    """

    _tallies: OrderedDict[tuple[str, str], Tally] = field(default_factory=OrderedDict)
    _trees: OrderedDict[str, dict[str, None]] = field(default_factory=OrderedDict)
    _spent: OrderedDict[AttemptKey, Spent] = field(default_factory=OrderedDict)

    def tally(self, skill: str, profile: str) -> Tally:
        """How good the workers of a profile are at a skill."""
        tally = self._tallies.setdefault((skill, profile), Tally())
        self._tallies.move_to_end((skill, profile))
        if len(self._tallies) > _TALLIES:
            self._tallies.popitem(last=False)
        return tally

    def asked_model(self, attempt: AttemptKey, tokens: int, usd: float) -> None:
        """An attempt under way has called a language model."""
        self._spent[attempt] = self._spent.get(attempt, NOTHING).plus(tokens, usd)
        if len(self._spent) > _UNDER_WAY:
            self._spent.popitem(last=False)

    def spent(self, attempt: AttemptKey) -> Spent:
        """What an attempt that has just ended took of language models."""
        return self._spent.pop(attempt, NOTHING)

    def has_tree(self, host: str, snapshot: Mapping[str, Any] | None) -> None:
        """A host has this snapshot of a workspace, if it is one."""
        tree = tree_of(snapshot)
        if not tree or not host:
            return
        hosts = self._trees.setdefault(tree, {})
        self._trees.move_to_end(tree)
        hosts.pop(host, None)
        hosts[host] = None
        if len(hosts) > _HOSTS_OF_TREE:
            del hosts[next(iter(hosts))]
        if len(self._trees) > _TREES:
            self._trees.popitem(last=False)

    def warm(self, snapshot: Mapping[str, Any] | None) -> frozenset[str]:
        """The hosts that have it."""
        return frozenset(self._trees.get(tree_of(snapshot), ()))


def tree_of(snapshot: Mapping[str, Any] | None) -> str:
    """The name of a snapshot's tree; empty if it is none."""
    tree = snapshot.get("tree") if snapshot else None
    return tree if isinstance(tree, str) else ""
