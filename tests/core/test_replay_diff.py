"""Two missions side by side, and copies of missions."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from events.memory import MemoryLog
from events.port import Window
from events.replay.alignment import differing, partings
from events.replay.copies import SubjectSink, TenantSink, copied_id, copy_of
from schemas.envelope import Event
from schemas.errors import InvalidIdentifier, InvalidInput
from stigmergy.comparing import compare
from tests.core.replay_events import recorded


def with_data(event: Event, **values: object) -> Event:
    return replace(event, data=msgspec.Raw(msgspec.json.encode({**event.data_as_dict(), **values})))


def renamed(events: list[Event]) -> list[Event]:
    """The same run once more: other ids, times, workers and mission."""
    made = []
    for event in events:
        changed = replace(event, mission="other", id=copied_id(event.id, "again"), time="2027-01-01T00:00:00Z")
        made.append(with_data(changed, worker="w9") if "worker" in event.data_as_dict() else changed)
    return made


def test_the_same_run_once_more_is_the_same() -> None:
    events = recorded(4)
    found = compare(events, renamed(events))
    assert found.same
    assert (found.first, found.events, found.tasks, found.result) == (None, 0, (), ())
    assert (found.a, found.b) == ("m", "other")


def test_the_order_among_different_tasks_means_nothing() -> None:
    events = recorded(2, size=8)
    acted = [event for event in events if event.type == "agent.acted" and event.subject]
    rest = [event for event in events if event.type != "agent.acted"]
    by_subject = sorted(acted, key=lambda event: event.subject or "")
    assert by_subject != acted
    assert partings([*rest, *acted], [*rest, *by_subject]) == []


def test_durations_and_progress_are_the_machine_and_not_the_mission() -> None:
    events = recorded(4)
    place = next(n for n, event in enumerate(events) if event.type == "agent.acted")
    slow, fast = (with_data(events[place], text=f"52 passed in {took}s") for took in ("0.77", "12.05"))
    worse = with_data(events[place], text="51 passed in 0.77s")
    told = replace(events[place], type="attempt.progressed")
    rest = events[place + 1 :]
    assert partings([*events[:place], slow, *rest], [*events[:place], fast, told, *rest]) == []
    assert len(partings([*events[:place], slow, *rest], [*events[:place], worse, *rest])) == 1


def test_the_first_difference_is_named_with_its_fields() -> None:
    events = recorded(4)
    place = next(n for n, event in enumerate(events) if event.type == "agent.acted")
    other = [*events[:place], with_data(events[place], text="did that"), *events[place + 1 : -1]]
    found = compare(events, other)
    assert not found.same
    assert found.first is not None
    assert (found.first.type, found.first.a, found.first.b) == ("agent.acted", place + 1, place + 1)
    assert found.first.fields == ("text: 'did it' ≠ 'did that'",)
    assert found.events == 2


def test_a_missing_event_and_one_too_many_are_partings() -> None:
    events = recorded(4)
    [missing] = partings(events, events[:-1])
    assert (missing.a, missing.b, missing.fields) == (len(events), None, ())
    [more] = partings(events[:-1], events)
    assert (more.a, more.b) == (None, len(events))


def test_tasks_that_came_out_differently_are_listed() -> None:
    missions = (recorded(seed) for seed in range(4, 40))
    events = next(events for events in missions if any(event.type == "task.succeeded" for event in events))
    place = next(n for n, event in enumerate(events) if event.type == "task.succeeded")
    found = compare(events[: place + 1], events[:place])
    assert (found.tasks[0].field, found.tasks[0].a) == ("status", "succeeded")
    assert found.tasks[0].task == events[place].subject


def test_an_empty_mission_differs_from_any_other() -> None:
    assert compare([], []).same
    assert not compare(recorded(1), []).same


def test_values_are_compared_by_path_and_not_endlessly() -> None:
    assert differing({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": 4}) == ("a[1].b: 2 ≠ 3", "c: nothing ≠ 4")
    assert differing({}, {}) == ()
    assert len(differing(dict.fromkeys(range(50), 1), dict.fromkeys(range(50), 2), most=5)) == 5
    assert all(len(line) < 200 for line in differing({"a": "x" * 999}, {"a": "y" * 999}))


async def test_copies_are_the_same_mission_for_another_tenant_and_never_double() -> None:
    log, events = MemoryLog(), recorded(4)
    made = [await (await TenantSink.open(log, "demo", "m")).put(event) for event in events[:5]]
    sink = await TenantSink.open(log, "demo", "m")
    again = [await sink.put(event) for event in events]
    assert made == [True] * 5
    assert again == [False] * 5 + [True] * (len(events) - 5)
    copies = [event async for event in log.read(Window())]
    assert {copy.tenant for copy in copies} == {"demo"}
    assert compare(events, copies).same
    assert not {copy.id for copy in copies} & {event.id for event in events}
    assert [copy.time for copy in copies] == [event.time for event in events]


def test_causes_are_copied_with_their_effects() -> None:
    first, second = recorded(4)[:2]
    second = replace(second, causationid=first.id, correlationid="no uuid at all")
    assert copy_of(second, "demo").causationid == copy_of(first, "demo").id
    assert copy_of(second, "demo").correlationid == copied_id("no uuid at all", "demo")
    assert copied_id("no uuid at all", "demo") != copied_id("another one", "demo")
    assert copied_id(first.id, "demo") != copied_id(first.id, "demo2")


def test_a_tenant_is_never_copied_onto_itself() -> None:
    with pytest.raises(InvalidInput, match="'t' already"):
        copy_of(recorded(4)[0], "t")
    with pytest.raises(InvalidIdentifier):
        copy_of(recorded(4)[0], "a.b")


@pytest.mark.parametrize(
    "prefix", ["events", "events.t", "commands", "dead.x", "heartbeats", "reflex", "$JS.API", "_INBOX"]
)
def test_subjects_of_the_system_are_refused(prefix: str) -> None:
    with pytest.raises(InvalidInput):
        SubjectSink(_nowhere, prefix)


@pytest.mark.parametrize("prefix", ["", "a..b", "a.*", ">", "a b"])
def test_prefixes_that_are_no_subject_are_refused(prefix: str) -> None:
    with pytest.raises(InvalidIdentifier):
        SubjectSink(_nowhere, prefix)


async def test_subjects_hear_every_event() -> None:
    heard: list[tuple[str, str]] = []

    async def hear(subject: str, raw: bytes) -> None:
        heard.append((subject, msgspec.json.decode(raw, type=Event).id))

    events = Random(1).sample(recorded(4), 5)
    sink = SubjectSink(hear, "demo.film")
    assert [await sink.put(event) for event in events] == [True] * 5
    assert heard == [(f"demo.film.m.{event.type}", copied_id(event.id, "demo.film")) for event in events]


async def _nowhere(subject: str, raw: bytes) -> None:
    raise AssertionError(subject)
