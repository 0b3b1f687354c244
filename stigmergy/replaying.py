"""A whole team at one event: the mission, what every agent is doing, what every task has noted. Folded, never guessed.

:class:`Scene` is the state that a replay keeps; :class:`SceneView` is what people and programs see of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict

from events.replay.cursor import Cursor
from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.facts import Fact
from orchestrator.core.folding import fact_to_fold
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events.action import ActionExpired
from schemas.events.agent import AgentActed, AgentRemembered, AgentThought
from schemas.events.attempt import AttemptFinished, AttemptProgressed, AttemptStarted
from schemas.events.spending import SPENDING, spent_after
from schemas.events.task import TaskCancelled
from schemas.events.tool import ToolCalled
from stigmergy.missions import MissionView, mission_view
from stigmergy.world_panel import WorldFold

Doing = Literal["working", "idle", "lost"]
_OF_PEOPLE = (AgentActed, AgentRemembered, AgentThought, AttemptProgressed, AttemptStarted, ToolCalled)
_TOLD = frozenset((*FOLDED_TYPES, *SPENDING, *(kind.TYPE for kind in _OF_PEOPLE)))
"""What is parsed; all other types change nothing here."""


class AgentState(Struct, frozen=True):
    """One agent on one worker.

    Attributes:
        saying: its newest step, in short; of the present attempt, or of the last one.
        finished, failed: how many of its attempts ended, and how many of these without success.
    """

    agent: str
    worker: str
    doing: Doing = "idle"
    task: str = ""
    attempt: int = 0
    since: datetime | None = None
    saying: str = ""
    finished: int = 0
    failed: int = 0


class Scene(Struct, frozen=True):
    """Everything at one event.

    Attributes:
        number: how many events of the mission were folded; ``spent``: what these say was spent, by unit.
        agents: ``worker/agent`` to what it is doing.
        holders: (task, attempt) to the agent that made it.
        scratchpads: task to what its agents noted, field by field.
        world: the world model, if this replay folds one; see :mod:`stigmergy.world_panel`.
        others: in a film of several missions the scenes of those that the newest event was not about.
    """

    mission: Mission
    number: int = 0
    sequence: int = 0
    agents: Map[str, AgentState] = Map()
    holders: Map[tuple[str, int], str] = Map()
    scratchpads: Map[str, Map[str, Any]] = Map()
    spent: dict[str, float] = {}
    world: Any = None
    others: Map[str, Scene] = Map()


class AgentView(BaseModel):
    """One agent on one worker, as it is at an event."""

    model_config = ConfigDict(frozen=True)

    agent: str
    worker: str
    doing: Doing
    task: str
    attempt: int
    since: datetime | None
    saying: str
    finished: int
    failed: int


class SceneView(BaseModel):
    """The state at the event of this ``number``. The same events always give the same view."""

    model_config = ConfigDict(frozen=True)

    number: int
    mission: MissionView
    agents: tuple[AgentView, ...]
    scratchpads: dict[str, dict[str, Any]]


def scene_cursor(tenant: str, mission: str, *, every: int = 256, world: WorldFold | None = None) -> Cursor[Scene]:
    """A cursor over a mission, before its first event; over several if ``mission`` is empty."""
    before = Scene(Mission(tenant=tenant, id=mission))
    if world is None:
        return Cursor(before, fold, every=every)

    def with_world(scene: Scene, event: Event) -> Scene:
        return replace(fold(scene, event), world=world.evolve(scene.world, event))

    return Cursor(replace(before, world=world.fresh(tenant)), with_world, every=every)


def fold(scene: Scene, event: Event) -> Scene:
    """The scene after one more event. What this release cannot read is counted and changes nothing else."""
    if event.mission != scene.mission.id:
        scene = _turned(scene, event.mission)
    scene = replace(scene, number=scene.number + 1, sequence=max(scene.sequence, event.sequence))
    if event.type not in _TOLD:
        return scene
    try:
        fact = fact_to_fold(event)
    except InvalidEvent:
        return scene
    mission, spent = evolve(scene.mission, fact), spent_after(scene.spent, fact.payload)
    if mission is not scene.mission or spent is not scene.spent:
        scene = replace(scene, mission=mission, spent=spent)
    return _people(scene, fact)


def _turned(scene: Scene, mission: str) -> Scene:
    """The scene of another mission; the present one is kept among the others."""
    others = scene.others
    if scene.mission.id:
        others = others.set(scene.mission.id, replace(scene, world=None, others=Map()))
    there = others.get(mission)
    if there is None:
        return Scene(Mission(tenant=scene.mission.tenant, id=mission), world=scene.world, others=others)
    return replace(there, world=scene.world, others=others.delete(mission))


def view(scene: Scene) -> SceneView:
    """What people and programs see of it, in a fixed order."""
    agents = [scene.agents[name] for name in sorted(scene.agents)]
    return SceneView(
        number=scene.number,
        mission=mission_view(scene.mission, scene.sequence, scene.spent),
        agents=tuple(AgentView.model_validate(_fields(agent)) for agent in agents),
        scratchpads={
            task: {name: notes[name] for name in sorted(notes)}
            for task, notes in sorted(scene.scratchpads.items(), key=lambda each: each[0])
        },
    )


def _fields(agent: AgentState) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in AgentState.__struct_fields__}


def _people(scene: Scene, fact: Fact) -> Scene:
    """What the fact says of agents and of what they noted."""
    match fact.payload:
        case AttemptStarted() as event:
            return _started(scene, event, fact.at)
        case AttemptFinished() as event:
            wrong = event.outcome not in ("succeeded", "handed_off")
            return _ended(scene, event.task, event.attempt, failed=wrong, at=fact.at)
        case ActionExpired() as event:
            return _ended(scene, event.task, event.attempt, failed=True, at=fact.at, doing="lost")
        case TaskCancelled() as event:
            return _cancelled(scene, event.task, fact.at)
        case AgentActed() | AgentThought() as event:
            return _said(scene, event.task, event.attempt, event.text)
        case AttemptProgressed() as event:
            return _said(scene, event.task, event.attempt, event.message)
        case ToolCalled() as event:
            failed = " (failed)" if event.outcome == "failed" else ""
            return _said(scene, event.task, event.attempt, f"used {event.tool}{failed}")
        case AgentRemembered() as event:
            notes: Map[str, Any] = scene.scratchpads.get(event.task, Map())
            return replace(scene, scratchpads=scene.scratchpads.set(event.task, notes.set(event.field, event.value)))
        case _:
            return scene


def _started(scene: Scene, event: AttemptStarted, at: datetime) -> Scene:
    name = f"{event.worker}/{event.agent}"
    agent = scene.agents.get(name) or AgentState(event.agent, event.worker)
    agent = replace(agent, doing="working", task=event.task, attempt=event.attempt, since=at, saying="")
    return replace(
        scene, agents=scene.agents.set(name, agent), holders=scene.holders.set((event.task, event.attempt), name)
    )


def _holder(scene: Scene, task: str, attempt: int) -> tuple[str, AgentState] | None:
    """The agent that has this attempt in hand; None if it has another one by now."""
    name = scene.holders.get((task, attempt))
    agent = scene.agents.get(name) if name is not None else None
    if name is None or agent is None or (agent.task, agent.attempt) != (task, attempt):
        return None
    return name, agent


def _ended(scene: Scene, task: str, attempt: int, *, failed: bool, at: datetime, doing: Doing = "idle") -> Scene:
    if (found := _holder(scene, task, attempt)) is None:
        return scene
    name, agent = found
    if agent.doing != "working":  # the late word of an attempt that was given up: it counts once
        return replace(scene, agents=scene.agents.set(name, replace(agent, doing=doing, since=at)))
    ended = replace(agent, doing=doing, since=at, finished=agent.finished + 1, failed=agent.failed + failed)
    return replace(scene, agents=scene.agents.set(name, ended))


def _cancelled(scene: Scene, task: str, at: datetime) -> Scene:
    """The attempt in hand is stopped and will not count."""
    state = scene.mission.tasks.get(task)
    found = _holder(scene, task, state.attempt) if state is not None else None
    if found is None or found[1].doing != "working":
        return scene
    name, agent = found
    return replace(scene, agents=scene.agents.set(name, replace(agent, doing="idle", since=at)))


def _said(scene: Scene, task: str, attempt: int, text: str) -> Scene:
    if (found := _holder(scene, task, attempt)) is None:
        return scene
    name, agent = found
    return replace(scene, agents=scene.agents.set(name, replace(agent, saying=_line(text))))


def _line(text: str, most: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
