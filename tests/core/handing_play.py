"""What a worker says that hands its task on."""

from __future__ import annotations

from schemas.events.attempt import AttemptFinished
from schemas.handoff import HandOff
from tests.core.mission_play import Play

TREE = {"tree": "a" * 40}


def hand_on(play: Play, task: str, to: str, why: str) -> int:
    """The attempt in hand ends so; returns its number."""
    attempt = play.state.tasks[task].attempt
    play.put(
        AttemptFinished(
            task=task,
            attempt=attempt,
            worker=f"w{attempt}",
            agent="x",
            outcome="handed_off",
            hand_off=HandOff(to=to, why=why, notes={"n": attempt}),
            product=TREE,
        )
    )
    return attempt
