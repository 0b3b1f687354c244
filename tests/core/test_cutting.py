"""Cutting a frame into columns finds what parsing finds, or nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

if os.environ.get("CI") != "true":
    pytest.importorskip("pyarrow")

import pyarrow as pa

from events.codec import encode, unstamped
from events.port import Stored
from projections.cutting import VARYING, cut, make_ready
from projections.facts import shape_of
from projections.frames import LEAST, TIME, frame_of
from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidEvent
from schemas.ids import uuid7

make_ready()
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEXT = '},{"specversion":"1.0","id":"'


def event(number: int = 0, **fields: Any) -> Event:
    values = {
        "id": uuid7(),
        "time": rfc3339(AT + timedelta(milliseconds=number)),
        "source": f"/worker/{number % 3}",
        "type": "task.ready",
        "tenant": "acme",
        "mission": "m1",
        "subject": f"task-{number}",
        "data": msgspec.json.encode({"task": f"task-{number}", "attempt": 1}),
        **fields,
    }
    return Event(**{**values, "data": msgspec.Raw(values["data"])})


def parsed(events: list[Event], name: str) -> list[str | None]:
    return [bytes(each.data).decode() if name == "data" else getattr(each, name) for each in events]


def same(raw: bytes) -> bool:
    """Whether it is cut; what was cut is what a parser finds."""
    made = cut(raw)
    if made is None:
        return False
    events = msgspec.json.decode(raw, type=list[Event])
    assert made.many == len(events)
    for name in (*VARYING, "data"):
        column = made.columns.get(name)
        found = [getattr(made.first, name)] * made.many if column is None else column.to_pylist()
        if name == "time":
            assert column.view(TIME).equals(pa.array(parsed(events, name)).cast(TIME))
        else:
            assert found == parsed(events, name), name
        if column is not None:
            column.validate(full=True)
    for name in set(Event.__struct_fields__) - {*VARYING, "data"}:
        assert {getattr(each, name) for each in events} == {getattr(made.first, name)}
    shape = shape_of(made.first.type)
    facts = shape.columns([shape.decoder.decode(each.data) for each in events])
    assert {name: column.to_pylist() for name, column in made.facts.items()} == {
        name: column.to_pylist() for name, column in facts.items()
    }
    return True


@pytest.mark.parametrize("many", [2, 3, 500])
def test_a_frame_in_our_form_is_cut(many: int) -> None:
    assert same(encode([event(number) for number in range(many)])[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "alike"},
        {"subject": None},
        {"source": "/é/日本"},
        {"causationid": uuid7(), "correlationid": uuid7(), "traceparent": "00-ab-cd-01"},
        {"dataversion": 2},
        {"data": b'{"text":"line\\nnext \\"quoted\\" \\u00e9","attempt":1}'},
        {"data": '{"text":"日本"}'.encode()},
        {"data": b'{"nested":[{"a":{"b":[]}},"},{"]}'},
    ],
)
def test_whatever_all_events_have(fields: dict[str, Any]) -> None:
    assert same(encode([event(number, **fields) for number in range(70)])[0])


def test_what_differs_in_the_middle_only() -> None:
    events = [event(number, source="/s", subject=("odd" if number == 5 else "even")) for number in range(10)]
    assert same(encode(events)[0])


def test_what_only_some_have() -> None:
    assert not same(encode([event(1), event(2, traceparent="00-ab"), event(3)])[0])
    assert not same(encode([event(1), event(2, subject=None), event(3)])[0])
    assert not same(encode([event(1), event(2, type="task.failed"), event(3)])[0])


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", 'x","type":"task.ready","time":"'])
def test_texts_that_json_writes_otherwise(text: str) -> None:
    assert not same(encode([event(1), event(2, subject=text), event(3)])[0])


@pytest.mark.parametrize(
    "data", [b"[]", b"5", b'"text"', b"null", b'{"attempt":-1}', b'{"task":{}}', b'{"task":"\\ud800"}']
)
def test_payloads_without_facts(data: bytes) -> None:
    assert not same(encode([event(1), event(2, data=data), event(3)])[0])


def test_events_within_a_payload() -> None:
    inner = encode([event(7), event(8)])[0]
    assert same(encode([event(1), event(2, data=b'{"events":%b}' % inner), event(3)])[0])


def test_a_payload_that_looks_like_the_end_of_its_event() -> None:
    raw, _ = encode([event(1, subject="s", source="/s"), event(2, subject="s", source="/s")])
    head = raw[1 : raw.index(b'"data":')]
    inner = b'{"a":[%b"data":{}},%b"data":{}}]}' % (head, head)
    # One border is hidden by a space, another is inside a payload: the number is right again.
    hidden = b"}}, {".join(raw.replace(b'{"task":"task-1","attempt":1}', inner).rsplit(b"}},{", 1))
    assert len(msgspec.json.decode(hidden)) == hidden.count(NEXT[1:].encode()) + 1 == 2
    assert not same(hidden)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:-2] + b"]",
        lambda raw: raw.replace(b'"attempt":1}', b'"attempt":1]', 1),
        lambda raw: raw.replace(b'"attempt":1}', b'"attempt":1', 2).replace(b'"attempt":1', b'"attempt":1}}', 1),
        lambda raw: raw.replace(b"task-1", b"task-\xff"),
        lambda raw: raw.replace(b"/worker/1", b"/worker/\xff"),
        lambda raw: raw + b" ",
        lambda raw: b"",
        lambda raw: b"[]",
        lambda raw: raw.replace(b",", b", "),
    ],
)
def test_what_is_no_frame_of_ours(damaged: Any) -> None:
    assert cut(damaged(encode([event(number) for number in range(4)])[0])) is None


texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | texts | st.sampled_from([NEXT, '"', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.dictionaries(texts, values, max_size=3).map(msgspec.json.encode)


@given(st.lists(st.tuples(texts | st.just("same"), texts | st.none(), payloads), min_size=2, max_size=6))
def test_any_frame_is_cut_as_it_is_parsed_or_not_at_all(made: list[tuple[str, str | None, bytes]]) -> None:
    events = [event(n, source=source, subject=subject, data=data) for n, (source, subject, data) in enumerate(made)]
    same(encode(events)[0])


@given(st.integers(0, 900), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_damaged_bytes_are_cut_as_they_are_parsed_or_not_at_all(at: int, put: bytes, instead_of: int) -> None:
    raw, _ = encode([event(number) for number in range(4)])
    damaged = raw[:at] + put + raw[at + instead_of :]
    if cut(damaged) is not None:
        assert same(damaged)


def test_a_frame_belongs_where_it_lies() -> None:
    raw, _ = encode([event(number) for number in range(LEAST)])
    found = frame_of(Stored(1, "events.acme.m1.task._", raw))
    assert found is not None
    assert (found.type, found.tenant, found.mission, found.many) == ("task.ready", "acme", "m1", LEAST)
    with pytest.raises(InvalidEvent, match="mission"):
        frame_of(Stored(1, "events.acme.m2.task._", raw))


def test_odd_times_have_no_frame() -> None:
    events = [event(number, time="2026-03-01T12:00:00.000000+0") for number in range(LEAST)]
    stored = Stored(1, "events.acme.m1.task._", encode(events)[0])
    assert frame_of(stored) is None
    assert len(unstamped(stored)[0]) == LEAST
