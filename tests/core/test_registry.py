"""The vocabulary: every event type is found, named well, and parsed with care."""

from __future__ import annotations

import re

import msgspec
import pytest

from schemas.envelope import Event
from schemas.errors import InvalidEvent, NewerVersion, UnknownType
from schemas.events import check_readable, parse, payload_types, type_named
from schemas.events.base import AttemptPayload, Payload
from schemas.events.task import TaskSkipped, TaskSucceeded


def event(type_: str, data: bytes = b"{}", version: int = 1) -> Event:
    return Event(
        id="e1", source="/test", type=type_, time="", tenant="acme", dataversion=version, data=msgspec.Raw(data)
    )


def test_types_are_found_by_name() -> None:
    types = payload_types()
    assert types["task.succeeded"] is TaskSucceeded is type_named("task.succeeded")
    assert len(types) > 20
    assert list(types) == sorted(types)


@pytest.mark.parametrize("name", payload_types())
def test_a_type_lives_in_the_file_of_its_noun_and_keeps_the_rules(name: str) -> None:
    kind = payload_types()[name]
    noun, _, verb = name.partition(".")
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
    assert kind.__module__ == f"schemas.events.{noun}"
    assert kind.__name__.lower() == (noun + verb).replace("_", "")
    assert kind.__doc__
    assert kind.VERSION >= 1
    assert kind.model_config.get("frozen")
    assert kind.model_config.get("extra") == "forbid"
    if kind.KEYED:
        assert kind.key is not Payload.key


def test_shapes_that_several_types_share_are_no_types() -> None:
    assert AttemptPayload not in payload_types().values()
    assert all(payload_types())


def test_classes_outside_the_vocabulary_are_not_taken_in() -> None:
    class Stranger(Payload):
        TYPE = "task.strange"

    payload_types.cache_clear()
    assert Stranger not in payload_types().values()


def test_a_payload_is_parsed() -> None:
    assert parse(event("task.succeeded", b'{"task":"fix","attempt":2}')) == TaskSucceeded(task="fix", attempt=2)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InvalidEvent, match=r"e1 of type task\.succeeded .* attempt: Field required; colour: Extra"):
        parse(event("task.succeeded", b'{"task":"fix","colour":"red"}'))
    with pytest.raises(InvalidEvent, match="does not fit its schema"):
        parse(event("task.succeeded", b"[]"))


def test_unknown_types_and_later_versions_are_told_apart() -> None:
    with pytest.raises(UnknownType, match=r"'task\.dreamt'") as unknown:
        check_readable(event("task.dreamt"))
    assert unknown.value.hint
    with pytest.raises(NewerVersion, match="version 99; this release reads up to") as newer:
        parse(event("task.succeeded", version=99))
    assert newer.value.hint


def test_identity_tells_facts_of_one_cause_apart() -> None:
    assert TaskSucceeded(task="fix", attempt=2).identity() == ("fix", "2")
    assert TaskSkipped(task="fix", reason="").identity() == ("fix",)
    assert TaskSkipped(task="fix", reason="").about() == "fix"
