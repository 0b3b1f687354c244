"""Waiting by recorded times, with a clock that the test moves."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.replay.pace import MAX, SPEEDS, Pace, parse_speed
from schemas.errors import InvalidInput

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def played(pace: Pace, clock: Clock, moments: list[float]) -> list[float]:
    """When each event is shown, in lived seconds from the first."""
    shown: list[float] = []
    for moment in moments:
        clock.now += pace.wait_s(at(moment))
        pace.shown(at(moment))
        shown.append(clock.now)
    return [round(one - shown[0], 6) for one in shown]


@pytest.mark.parametrize(("speed", "factor"), [(1.0, 1.0), (10.0, 0.1), (0.1, 10.0), (1000.0, 0.001), (MAX, 0.0)])
def test_gaps_are_kept_at_every_speed(speed: float, factor: float) -> None:
    clock = Clock()
    pace = Pace(clock, speed=speed)
    assert played(pace, clock, [0, 1, 1, 4]) == pytest.approx([0, factor, factor, 4 * factor])


def test_long_gaps_are_capped_in_lived_seconds() -> None:
    clock = Clock()
    assert played(Pace(clock, speed=10, longest_gap_s=2), clock, [0, 5, 3600, 3610]) == [0, 0.5, 2.5, 3.5]


def test_a_little_skew_between_machines_does_not_stretch_the_film() -> None:
    clock = Clock()
    assert played(Pace(clock), clock, [0, 10, 9, 11, 10.5, 12]) == [0, 10, 10, 11, 11, 12]


def test_a_clock_that_was_set_back_is_followed_from_there() -> None:
    clock = Clock()
    assert played(Pace(clock), clock, [3600, 3601, 0, 2, 3]) == [0, 1, 1, 3, 4]


def test_pausing_stops_the_film_and_not_the_clock() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.shown(at(0))
    clock.now += 2
    pace.pause()
    clock.now += 500
    assert pace.wait_s(at(5)) == math.inf
    pace.resume()
    assert pace.wait_s(at(5)) == pytest.approx(3)
    assert not pace.paused


def test_a_change_of_speed_counts_from_now() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.shown(at(0))
    clock.now += 2
    pace.set_speed(4)
    assert pace.wait_s(at(10)) == pytest.approx(2)
    pace.set_speed(MAX)
    assert pace.wait_s(at(10)) == 0


def test_a_late_viewer_catches_up_but_a_suspended_one_does_not_miss_the_film() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.shown(at(0))
    clock.now += 1.4
    pace.shown(at(1))
    assert pace.wait_s(at(2)) == pytest.approx(0.6)
    clock.now += 3600
    pace.shown(at(2))
    assert pace.wait_s(at(10)) == pytest.approx(7)


def test_a_jump_begins_anew_there() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.shown(at(0))
    clock.now += 50
    pace.jump(at(20))
    assert pace.wait_s(at(21)) == pytest.approx(1)
    pace.jump(None)
    assert pace.wait_s(at(999)) == 0


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    moments=st.lists(st.floats(-1e6, 1e6), max_size=30),
    speed=st.sampled_from(SPEEDS),
    gap=st.one_of(st.none(), st.floats(0, 10)),
)
def test_waits_are_never_negative_nor_longer_than_the_cap(
    moments: list[float], speed: float, gap: float | None
) -> None:
    clock = Clock()
    pace = Pace(clock, speed=speed, longest_gap_s=gap)
    for moment in moments:
        wait = pace.wait_s(at(moment))
        assert 0 <= wait <= (gap * (1 + 1e-9) if gap is not None else math.inf)
        clock.now += wait
        pace.shown(at(moment))


def test_the_ladder_of_speeds_has_ends() -> None:
    pace = Pace(Clock(), speed=3)
    pace.faster()
    assert pace.speed == 5
    pace.faster(100)
    assert pace.speed == MAX
    pace.faster(-1)
    assert pace.speed == 1000
    pace.faster(-100)
    assert pace.speed == 0.1


@pytest.mark.parametrize(("said", "speed"), [("max", MAX), ("MAX", MAX), ("2", 2), ("0.1", 0.1), ("10x", 10)])
def test_speeds_that_are_understood(said: str, speed: float) -> None:
    assert parse_speed(said) == speed


@pytest.mark.parametrize("said", ["0", "-1", "1001", "nan", "inf", "fast", "", "x"])
def test_speeds_that_are_refused(said: str) -> None:
    with pytest.raises(InvalidInput, match="is no speed") as caught:
        parse_speed(said)
    assert "max" in caught.value.hint
