"""Missions with random plans and random fates: what must hold does, after every single fact."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.evolve import evolve
from orchestrator.core.mission import Mission
from schemas.plan import Plan
from tests.core.barrier_plans import with_barriers
from tests.core.mission_plans import make_plan
from tests.core.mission_play import Play

SEEDS = st.integers(0, 2**32)
quick = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@settings(quick, max_examples=250)
@given(seed=SEEDS, size=st.integers(0, 9), steps=st.integers(0, 50))
def test_every_law_holds_after_every_fact_and_every_mission_ends(seed: int, size: int, steps: int) -> None:
    rng = Random(seed)
    check(rng, make_plan(rng, size), steps)


@settings(quick, max_examples=400)
@given(seed=SEEDS, size=st.integers(2, 9), steps=st.integers(0, 50))
def test_every_law_holds_behind_barriers(seed: int, size: int, steps: int) -> None:
    rng = Random(seed)
    check(rng, with_barriers(rng, make_plan(rng, size)), steps)


def check(rng: Random, plan: Plan, steps: int) -> None:
    play = Play(rng, plan)
    for _ in range(steps):
        play.step()
    play.to_the_end()
    for _ in range(10):
        play.disturb()
        play.advance(cut=True)
    again = Mission(tenant="t", id="m")
    for fact in play.facts:
        again = evolve(again, fact)
    assert again == play.state
