"""Subjects: where events and commands travel, and what filters catch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from events.memory import matches
from schemas.envelope import Event
from schemas.errors import InvalidEvent, InvalidIdentifier
from schemas.subjects import guard_filter, mission_filter, noun_filter, of_command, of_event, of_frame


def event(type_: str = "task.ready", tenant: str = "acme", mission: str = "m1") -> Event:
    return Event(id="1", source="/test", type=type_, time="", tenant=tenant, mission=mission)


def test_events_frames_and_commands_have_their_places() -> None:
    assert of_event(event()) == "events.acme.m1.task.ready"
    assert of_event(event(mission="_")) == "events.acme._.task.ready"
    assert of_event(event("attempt.started"), "fix:2") == "events.acme.m1.attempt.started.fix:2"
    assert of_frame("acme", "m1", "task") == "events.acme.m1.task._"
    assert of_command("acme", "submit") == "commands.acme.submit"


@pytest.mark.parametrize("type_", ["task", "task.", ".ready", "task.ready.now", "", "task.*", "ta sk.ready", "task._"])
def test_a_type_is_noun_and_verb(type_: str) -> None:
    with pytest.raises((InvalidEvent, InvalidIdentifier)):
        of_event(event(type_))


@pytest.mark.parametrize("value", ["", "*", ">", "a.b", "a b"])
def test_wildcards_cannot_be_smuggled_in(value: str) -> None:
    attempts: list[Callable[[], str]] = [
        lambda: of_event(event(tenant=value)),
        lambda: of_event(event(mission=value)),
        lambda: of_frame("acme", "m1", value),
        lambda: of_command(value, "submit"),
        lambda: of_command("acme", value),
        lambda: mission_filter(value, "m1"),
        lambda: guard_filter("acme", value, "task"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidIdentifier):
            attempt()


def test_a_key_is_a_token() -> None:
    with pytest.raises(InvalidIdentifier, match="key"):
        of_event(event("attempt.started"), "fix.imports:2")


def test_a_guard_sees_what_its_writer_writes_and_no_keyed_events() -> None:
    pattern = guard_filter("acme", "m1", "attempt")
    assert matches(of_event(event("attempt.finished")), pattern)
    assert matches(of_frame("acme", "m1", "attempt"), pattern)
    assert not matches(of_event(event("attempt.started"), "fix:1"), pattern)
    assert not matches(of_event(event("attempt.finished", mission="m2")), pattern)


def test_readers_of_a_noun_or_a_mission_see_all_of_it() -> None:
    subjects = [
        of_event(event("attempt.finished")),
        of_event(event("attempt.started"), "fix:1"),
        of_frame("acme", "m1", "attempt"),
    ]
    for pattern in (
        noun_filter("attempt"),
        noun_filter("attempt", tenant="acme", mission="m1"),
        mission_filter("acme", "m1"),
        "events.>",
    ):
        assert all(matches(subject, pattern) for subject in subjects)
    assert not matches(subjects[0], noun_filter("task"))
    assert not matches(subjects[0], mission_filter("acme", "m2"))


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.*", True),
        ("a.b", "a.>", True),
        ("a", "a.>", False),
        ("a.b.c", "a.*", False),
        ("a.b.c", "*.b.>", True),
        ("a.b.c", "*.x.>", False),
        ("a.b", "a.b.c", False),
    ],
)
def test_patterns_are_those_of_nats(subject: str, pattern: str, expected: bool) -> None:
    assert matches(subject, pattern) is expected
