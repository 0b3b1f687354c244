"""The cursor: wherever it goes and whichever way it came, the state is the fold of the events before it."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.replay import Choice, Cursor, Registrar
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from schemas.errors import InvalidInput
from stigmergy.missions import MissionFold
from stigmergy.replaying import Scene, fold, scene_cursor, view
from stigmergy.scene_changes import changes
from tests.core.replay_events import recorded

quick = settings(deadline=None, derandomize=True, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
START = Scene(Mission(tenant="t", id="m"))


def folded(events: list[Event]) -> Scene:
    return reduce(fold, events, START)


@quick
@given(seed=st.integers(0, 2**32), every=st.integers(1, 40))
def test_every_way_to_an_event_gives_the_fold_of_the_events_before_it(seed: int, every: int) -> None:
    events, rng = recorded(seed), Random(seed)
    states = [START]
    for event in events:
        states.append(fold(states[-1], event))
    cursor = scene_cursor("t", "m", every=every)
    known = 0
    for _ in range(60):
        move = rng.randrange(5)
        if move == 0:
            more = rng.randint(0, 30)
            cursor.extend(events[known : known + more])
            known = min(known + more, len(events))
        elif move == 1:
            cursor.jump(rng.randint(0, known))
        elif move == 2:
            before = cursor.position
            assert cursor.step() is (before < known)
            assert cursor.position == min(before + 1, known)
        elif move == 3:
            before = cursor.position
            assert cursor.back() is (before > 0)
            assert cursor.position == max(before - 1, 0)
        else:
            cursor.next_error() if rng.random() < 0.5 else cursor.previous_error()
        assert cursor.state == states[cursor.position]


@quick
@given(seed=st.integers(0, 2**32))
def test_the_mission_in_it_is_what_the_rest_of_the_system_folds(seed: int) -> None:
    events = recorded(seed)
    known = MissionFold("t", "m")
    cursor = scene_cursor("t", "m")
    cursor.extend(events)
    for number, event in enumerate(events, 1):
        known.add(event)
        if number % 7 == 0 or number == len(events):
            assert view(cursor.state_at(number)).mission == known.view()


@quick
@given(seed=st.integers(0, 2**32))
def test_what_changed_is_told_if_and_only_if_the_view_changed(seed: int) -> None:
    def seen(scene: Scene) -> object:
        times = {"started_at", "ended_at", "submitted_at", "since", "sequence", "number", "progress"}
        times |= {"duration_s", "cpu_s", "peak_memory_bytes", "spent"}  # measured, and told with the end of the attempt
        times |= {"waits_for"}  # follows from what is told of other tasks, and of groups

        def without(value: object) -> object:
            if isinstance(value, dict):
                return {name: without(inner) for name, inner in value.items() if name not in times}
            return sorted((without(one) for one in value), key=str) if isinstance(value, list) else value

        return without(view(scene).model_dump(mode="json"))

    before = START
    for event in recorded(seed, steps=15)[:60]:
        after = fold(before, event)
        told = [change for change in changes(before, after) if change.what != "group"]  # no part of the view
        assert bool(told) is (seen(before) != seen(after)), event.type
        before = after


def test_steps_pass_over_what_is_filtered_out_and_the_state_does_not() -> None:
    events = recorded(3)
    cursor = scene_cursor("t", "m")
    cursor.extend(events)
    cursor.choice = Choice(types=("task.ready",))
    numbers = [number for number, event in enumerate(events, 1) if event.type == "task.ready"]
    assert len(numbers) > 2
    for number in numbers:
        assert cursor.step()
        assert cursor.position == number
        assert cursor.state == folded(events[:number])
    assert cursor.at_end
    assert not cursor.step()
    for number in reversed(numbers[:-1]):
        assert cursor.back()
        assert cursor.position == number
    assert cursor.back()
    assert (cursor.position, cursor.event) == (0, None)


def test_errors_are_found_in_both_directions() -> None:
    events = recorded(11, size=8, steps=80)
    cursor = scene_cursor("t", "m")
    cursor.extend(events)
    wrong = [number for number, about in enumerate(cursor.about, 1) if about.error]
    assert len(wrong) > 2
    found = []
    while cursor.next_error():
        found.append(cursor.position)
    assert found == wrong
    back = [cursor.position]
    while cursor.previous_error():
        back.append(cursor.position)
    assert back == wrong[::-1]
    kinds = {(events[n - 1].type, events[n - 1].data_as_dict().get("outcome")) for n in wrong}
    assert ("attempt.finished", "succeeded") not in kinds


def test_places_in_the_log_lead_to_the_event_there_or_before() -> None:
    events = recorded(5)[:10]
    cursor: Cursor[int] = Cursor(0, lambda count, _: count + 1)
    cursor.extend([replace(event, sequence=100 + 10 * number) for number, event in enumerate(events)])
    cursor.jump_to_sequence(125)
    assert (cursor.position, cursor.state) == (3, 3)
    cursor.jump_to_sequence(9999)
    assert cursor.position == 10
    with pytest.raises(InvalidInput, match="at or before sequence 99"):
        cursor.jump_to_sequence(99)
    with pytest.raises(InvalidInput, match="no event 11"):
        cursor.jump(11)
    assert cursor.position == 10


def test_going_back_folds_no_more_than_one_stretch() -> None:
    folds = 0

    def count(state: int, _: Event) -> int:
        nonlocal folds
        folds += 1
        return state + 1

    cursor = Cursor(0, count, every=10)
    missions = (recorded(seed, size=8, steps=80) for seed in range(5, 60))
    cursor.extend(next(events for events in missions if len(events) >= 100)[:100])
    cursor.jump(100)
    assert folds == 0  # nobody has asked for the state yet
    assert cursor.state == 100
    assert folds == 100
    for position in range(99, -1, -1):
        cursor.back()
        assert cursor.state == position
    assert folds <= 200
    cursor.jump(55)
    assert cursor.state == 55
    assert folds <= 205


def test_a_long_way_can_be_folded_piece_by_piece() -> None:
    cursor = Cursor(0, lambda state, _: state + 1, every=10)
    missions = (recorded(seed, size=8, steps=80) for seed in range(5, 60))
    events = next(events for events in missions if len(events) >= 100)
    cursor.extend(events[:35])
    assert cursor.is_near(9)
    assert not cursor.is_near(10)
    assert cursor.state_at(7) == 7
    assert [cursor.fold_on() for _ in range(5)] == [True, True, True, False, False]
    assert cursor.is_near(35)
    cursor.extend(events[35:])
    assert cursor.fold_on()
    assert [cursor.state_at(position) for position in (44, 12, 61)] == [44, 12, 61]


def test_a_moment_is_found_before_the_first_later_event() -> None:
    cursor = Cursor(0, lambda state, _: state)
    cursor.extend(recorded(7))
    for number in range(1, len(cursor) + 1):
        moment = cursor.about[number - 1].moment
        cursor.jump_to_moment(moment)
        assert cursor.position >= number or any(one.moment > moment for one in cursor.about[:number])
        assert cursor.position == len(cursor) or cursor.about[cursor.position].moment > moment
    with pytest.raises(InvalidInput, match="nothing had happened by"):
        cursor.jump_to_moment(cursor.about[0].moment - timedelta(seconds=1))


def test_filters_know_whose_an_event_is_after_the_attempt_began() -> None:
    events, registrar = recorded(7), Registrar()
    about = [registrar.about(event) for event in events]
    acted = [(event, known) for event, known in zip(events, about, strict=True) if event.type == "agent.acted"]
    assert acted
    assert all(known.agent in ("coder", "tester") and known.worker in ("w1", "w2") for _, known in acted)
    event, known = acted[0]
    assert Choice(agents=(known.agent,), workers=("w*",), tasks=(known.task,), types=("agent",)).wants(event, known)
    assert not Choice(agents=("nobody",)).wants(event, known)
    assert not Choice(tasks=("nothing",)).wants(event, known)
    assert not Choice(types=("task.*",)).wants(event, known)
    assert Choice(text="DID it").wants(event, known)
    assert not Choice(text="did not").wants(event, known)
    assert Choice(since=known.moment, until=known.moment).wants(event, known)
    late = max(one.moment for one in about)
    assert not Choice(since=late.replace(year=2030)).wants(event, known)
    assert not Choice(until=late.replace(year=2020)).wants(event, known)


@pytest.mark.parametrize("data", [b"[]", b'"x"', b'{"task": 5, "attempt": "x", "worker": {}}', b"nonsense", b"\xff"])
def test_nonsense_on_the_bus_does_no_harm(data: bytes) -> None:
    good = recorded(1)[0]
    for kind in ("attempt.started", "attempt.finished", "task.failed", "no.such", "agent.acted"):
        odd = replace(good, type=kind, time="yesterday", data=msgspec.Raw(data))
        about = Registrar().about(odd)
        assert about.task == ""
        assert about.error is (kind == "task.failed")
        assert fold(START, odd).mission == START.mission
        assert fold(START, odd).number == 1
