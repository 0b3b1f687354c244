"""Random missions, forked anywhere with random changes: only what is given the same is taken over, and all of it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestrator.core.adopting import fingerprint
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.mission import Mission, MissionStatus, TaskStatus
from schemas.commands import ForkMission
from schemas.errors import Refused
from schemas.forks import ForkChange
from tests.core.barrier_plans import with_barriers
from tests.core.fork_play import ForkPlay, recording_of
from tests.core.mission_plans import make_items, make_plan
from tests.core.mission_play import Play

quick = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def played(seed: int, size: int, steps: int, *, barriers: bool = False) -> Play:
    rng = Random(seed)
    plan = make_plan(rng, size)
    play = Play(rng, with_barriers(rng, plan) if barriers else plan)
    for _ in range(steps):
        play.step()
    play.to_the_end()
    return play


def wish(at: int, **more: Any) -> ForkMission:
    return ForkMission(id="f0", mission="f", origin="m", at=at, **more)


@settings(quick, max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 8),
    steps=st.integers(0, 30),
    where=st.floats(0, 1),
    barriers=st.booleans(),
)
def test_a_fork_without_a_change_executes_nothing_that_came_about(
    seed: int, size: int, steps: int, where: float, barriers: bool
) -> None:
    play = played(seed, size, steps, barriers=barriers)
    at = max(2, round(where * len(play.facts)))
    origin = recording_of(play.facts, at)
    assume(origin.then.goals)
    fork = ForkPlay(wish(at), origin).to_the_end()
    for name, task in origin.now.tasks.items():
        if task.status is TaskStatus.SUCCEEDED and origin.then.tasks.get(name, task).status is not TaskStatus.FAILED:
            assert name not in fork.executed or _was_given_otherwise(fork, name, origin.given), name
    if play.state.status is fork.state.status is MissionStatus.COMPLETED and not fork.executed:
        assert fork.state.result == play.state.result


def _was_given_otherwise(fork: ForkPlay, name: str, recorded: dict[tuple[str, int], str]) -> bool:
    """What was given the same would have been taken over."""
    return fingerprint(fork.executed[name]) not in [print_ for (task, _), print_ in recorded.items() if task == name]


@settings(quick, max_examples=250)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 8),
    steps=st.integers(0, 30),
    where=st.floats(0, 1),
    barriers=st.booleans(),
)
def test_what_is_given_the_same_is_taken_over_and_nothing_else(
    seed: int, size: int, steps: int, where: float, barriers: bool
) -> None:
    play, rng = played(seed, size, steps, barriers=barriers), Random(seed + 1)
    at = max(2, round(where * len(play.facts)))
    origin = recording_of(play.facts, at)
    assume(origin.then.goals)
    known = sorted(origin.then.tasks)
    changes = [ForkChange(path="inputs.items", value=make_items(rng))] if rng.random() < 0.3 else []
    changed = rng.sample(known, min(len(known), rng.randint(0, 2)))
    changes += [ForkChange(path=f"task.{name}.output", value={"n": 77, "items": make_items(rng)}) for name in changed]
    rerun = tuple(rng.sample(known, min(len(known), rng.choice((0, 0, 1)))))
    fork = ForkPlay(
        wish(at, changes=tuple(changes), rerun=rerun, fresh=rng.random() < 0.2), origin, Random(seed)
    ).to_the_end()
    for name, ready in fork.executed.items():
        own = fork.facts[1].payload.results  # type: ignore[attr-defined]  # mission.forked
        left = [r for r in own if r.task == name and r.fingerprint == fingerprint(ready)]
        taken_by_others = {a.origin_task for task, a in fork.adopted.items() if task != name}
        assert not left or name in taken_by_others or ready.attempt > 1, name
        assert name not in changed
    for name, adopted in fork.adopted.items():
        assert name not in rerun or name in changed or adopted.origin_task != name
        assert adopted.changed == (name in changed)
    origins = [adopted.origin_task for adopted in fork.adopted.values()]
    assert len(origins) == len(set(origins))
    again = Mission(tenant="t", id="f")
    for fact in fork.facts:
        again = evolve(again, fact)
    assert again == fork.state
    # A fork of the fork, at its end and unchanged, executes nothing either.
    second = recording_of([fact._replace(sequence=n) for n, fact in enumerate(fork.facts, 1)], len(fork.facts))
    third = ForkPlay(wish(len(fork.facts)).model_copy(update={"origin": "f", "mission": "g"}), second).to_the_end()
    succeeded = {n for n, t in fork.state.tasks.items() if t.status is TaskStatus.SUCCEEDED}
    assert not succeeded & third.executed.keys()


@settings(quick, max_examples=40)
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 2))
def test_whoever_died_between_the_first_facts_is_completed_by_the_command_coming_again(seed: int, cut: int) -> None:
    play = played(seed, 4, 10)
    origin = recording_of(play.facts, len(play.facts))
    assume(origin.then.goals)
    command = wish(len(play.facts))
    whole = ForkPlay(command, origin)
    part = Mission(tenant="t", id="f")
    for fact in whole.facts[:cut]:
        part = evolve(part, fact)
    for number, payload in enumerate(decide(part, command, whole.now, origin=origin), cut):
        part = evolve(part, whole.facts[number]._replace(payload=payload))
    assert part == whole.state
    assert decide(part, command, whole.now, origin=origin) == []
    with pytest.raises(Refused, match="exists already"):
        decide(part, command.model_copy(update={"id": "other"}), whole.now, origin=origin)
