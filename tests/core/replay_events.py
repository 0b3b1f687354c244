"""Recorded missions for tests of replay: played in the head, with agents that start, say and note things."""

from __future__ import annotations

from datetime import datetime
from random import Random

import msgspec

from schemas.envelope import Event, rfc3339
from schemas.events import Payload
from schemas.events.agent import AgentActed, AgentRemembered
from schemas.events.attempt import AttemptStarted
from schemas.events.task import TaskReady
from schemas.events.tool import ToolCalled
from schemas.ids import derive
from tests.core.mission_plans import make_plan
from tests.core.mission_play import Play

_ROOT = "01a00000-0000-7000-8000-000000000000"


def event_of(payload: Payload, at: datetime, sequence: int, *, tenant: str = "t", mission: str = "m") -> Event:
    return Event(
        id=derive(_ROOT, mission, str(sequence)),
        source="/test",
        type=payload.TYPE,
        time=rfc3339(at),
        tenant=tenant,
        mission=mission,
        subject=payload.about(),
        causationid=derive(_ROOT, mission, "cause", str(sequence)),
        sequence=sequence,
        data=msgspec.Raw(payload.model_dump_json().encode()),
    )


def recorded(seed: int, size: int = 5, steps: int = 40) -> list[Event]:
    """A mission from its submission to its end."""
    rng = Random(seed)
    play = Play(rng, make_plan(rng, size))
    for _ in range(steps):
        play.step()
    play.to_the_end()
    told: list[tuple[Payload, datetime]] = []
    for fact in play.facts:
        told.append((fact.payload, fact.at))
        if isinstance(fact.payload, TaskReady):
            told += [(word, fact.at) for word in _words(rng, fact.payload)]
    return [event_of(payload, at, number) for number, (payload, at) in enumerate(told, 1)]


def _words(rng: Random, ready: TaskReady) -> list[Payload]:
    who = {"task": ready.task, "attempt": ready.attempt}
    worker, agent = rng.choice((("w1", "coder"), ("w1", "tester"), ("w2", "coder")))
    words: list[Payload] = [
        AttemptStarted(**who, worker=worker, agent=agent),
        AgentActed(**who, text="did it"),
        AgentRemembered(**who, field=rng.choice("ab"), value=rng.randint(0, 3)),
        ToolCalled(**who, tool="sed", outcome="succeeded", duration_s=0.1),
    ]
    return words[: rng.randint(0, 4)]
