"""A thousand seeds, in parts that the test processes share. One that fails is made small, and says how to repeat it."""

from __future__ import annotations

import pytest

from tests.simulation.drawing import make_scenario
from tests.simulation.play import play
from tests.simulation.shrink import Shrinking
from tests.simulation.telling import again, report

SEEDS = 1000
PART = 20


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_every_law_holds_at_every_step_whatever_happens(first: int) -> None:
    for seed in range(first, first + PART):
        scenario = make_scenario(seed)
        outcome = play(scenario)
        if outcome.law:
            _, small = Shrinking(scenario, outcome, most=60).run()
            pytest.fail(f"{report(small)}\nrun it again: {again(seed)}", pytrace=False)
