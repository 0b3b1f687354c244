"""How many workers a skill gets."""

from __future__ import annotations

import pytest

from schemas.backlog import SkillBacklog
from schemas.errors import InvalidInput
from schemas.shares import parse_bounds
from stigmergy.scaling.policy import Rules, Scaler


def load(waiting: int, running: int = 0) -> dict[str, SkillBacklog]:
    return {"test": SkillBacklog("test", queued=waiting, running=running)}


def test_it_grows_at_once_up_to_its_bound() -> None:
    scaler = Scaler(Rules({"test": (0, 4)}, tasks=2.0))
    [decision] = scaler.decide(load(3), {}, 0.0)
    assert (decision.before, decision.after) == (0, 2)
    assert "3 wait and 0 run" in decision.reason
    [decision] = scaler.decide(load(1000), {"test": 2}, 1.0)
    assert decision.after == 4
    assert scaler.decide(load(1000), {"test": 4}, 2.0) == []


def test_it_shrinks_only_after_a_while_and_to_zero() -> None:
    scaler = Scaler(Rules({"test": (0, 4)}, tasks=1.0, cool_s=10.0))
    assert scaler.decide(load(0), {"test": 3}, 0.0) == []
    assert scaler.decide(load(0), {"test": 3}, 9.9) == []
    [decision] = scaler.decide(load(0), {"test": 3}, 10.0)
    assert (decision.before, decision.after) == (3, 0)
    assert "were enough for 10 s" in decision.reason


def test_a_peak_within_the_while_counts() -> None:
    scaler = Scaler(Rules({"test": (0, 4)}, tasks=1.0, cool_s=10.0))
    scaler.decide(load(0), {"test": 4}, 0.0)
    scaler.decide(load(2), {"test": 4}, 5.0)
    [decision] = scaler.decide(load(0), {"test": 4}, 10.0)
    assert decision.after == 2
    scaler.decide(load(0), {"test": 3}, 11.0)
    scaler.decide(load(3), {"test": 3}, 12.0)  # all of them were needed: the while begins again
    assert scaler.decide(load(0), {"test": 3}, 21.5) == []


def test_the_least_is_kept_without_work_and_what_died_comes_back() -> None:
    scaler = Scaler(Rules({"test": (2, 4)}))
    [decision] = scaler.decide({}, {}, 0.0)
    assert decision.after == 2
    [decision] = scaler.decide({}, {"test": 1}, 1.0)
    assert decision.after == 2


def test_bounds_are_read() -> None:
    assert parse_bounds("test:0..4, code:1..2") == {"test": (0, 4), "code": (1, 2)}
    for wrong in ("test", "test:4..1", "test:0..0", "test:0..9999", "te st:0..1"):
        with pytest.raises(InvalidInput):
            parse_bounds(wrong)
