"""What replicas of a role hear of one another."""

from __future__ import annotations

import msgspec

from events.leadership.group import Group
from events.leadership.memory import MemoryKeys
from events.signals import MemorySignals
from orchestrator.peers import Peers
from schemas.replicas import OpenTasks


class _Three(Group):
    """One of three; a fourth has left."""

    def others(self) -> list[str]:
        return ["b", "c"]


def test_who_spoke_last_comes_last_and_who_has_left_not_at_all() -> None:
    group = _Three(MemoryKeys(), "orchestrator", "a")
    peers = Peers(MemorySignals(), group, OpenTasks, lambda: OpenTasks("a"))
    for number, who in enumerate("cdbac"):
        peers._hear(msgspec.json.encode(OpenTasks(who, {number: {}})))
    assert [(said.who, list(said.parts)) for said in peers.said] == [("b", [2]), ("c", [4])]
