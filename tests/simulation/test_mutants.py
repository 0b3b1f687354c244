"""The simulation finds bugs: each of those that are planted here breaks a law within a few seeds."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, hunt

WITHIN = 250


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    found = hunt(name, WITHIN)
    assert found is not None
    assert found.law not in ("TypeError", "AttributeError", "NameError"), "the bug does not fit the code any more"


def test_a_failing_run_becomes_small() -> None:
    from tests.simulation.drawing import make_scenario
    from tests.simulation.mutants import planted
    from tests.simulation.shrink import Shrinking

    found = hunt("violations are overlooked", WITHIN)
    assert found is not None
    with planted("violations are overlooked"):
        scenario, small = Shrinking(make_scenario(found.seed), found, most=80).run()
    assert small.law == found.law
    assert small.events <= found.events
    assert len(scenario.scripts) == 1
    assert len(small.struck) <= 2, "a lie of one worker is all it takes"
