"""Cutting a frame into columns finds what parsing finds, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from projections import cutting
from projections.cutting import VARYING, cut, make_ready
from projections.facts import FIELDS, shape_of
from projections.frames import LEAST, TIME, frame_of
from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidEvent
from schemas.events import payload_types
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


def test_frames_of_every_type_are_cut() -> None:
    for name in [*payload_types(), "custom.happened"]:
        assert same(encode([event(number, type=name, data=b"{}") for number in range(3)])[0]), name


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        (b'{"duration_s":0.1}', True),
        (b'{"duration_s":0.30000000000000004,"cost_usd":1e-7}', True),
        (b'{"duration_s":1.7976931348623157e308}', False),
        (b'{"duration_s":1e-400}', False),  # nothing, but only Python knows
        (b'{"duration_s":9007199254740993e-16}', True),
        (b'{"duration_s":-1}', False),
        (b'{"tokens_in":1000000000000000}', False),
        (b'{"tokens_in":999999999999999,"tokens_out":1000000000000001}', False),
        (b'{"attempt":65536}', False),
        (b'{"attempt":1.0}', False),
        (b'{"task":"a","task":"b"}', False),
        (b'{"t\\u0061sk":"a"}', False),
        (b'{"task":"\\u0061"}', False),
        (b'{ "task" : "a" , "other" : [ 1 , { } , [ ] , { "a" : null } ] }', True),
        (b'{"model":"%b"}' % (b"m" * 256), True),
        (b'{"model":"%b"}' % (b"m" * 257), False),
        (b'{"failure":{"code":"timeout","more":[1]},"violations":[{"kind":"a"},{"kind":"b"}]}', True),
        (b'{"failure":null,"observation":{},"order":{"skill":null},"violations":[]}', True),
        (b'{"observation":{"duration_s":null}}', False),
        (b'{"violations":[{"kind":"a"},5]}', False),
        (b'{"other":%b}' % (b"[" * 61 + b"]" * 61), True),
        (b'{"other":%b}' % (b"[" * 62 + b"]" * 62), False),
    ],
)
def test_facts_at_their_bounds(data: bytes, fits: bool) -> None:
    events = [event(number, type="custom.happened", data=data) for number in range(3)]
    assert same(encode(events)[0]) == fits


def test_until_the_loops_are_compiled_events_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, _ = encode([event(number) for number in range(LEAST)])
    monkeypatch.setattr(cutting, "_loading", Future)
    assert cut(raw) is None
    assert frame_of(Stored(1, "events.acme.m1.task._", raw)) is None


def test_without_a_compiler_events_are_read_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "projections.cutting.columns", None)
    loaded: Future[Any] = Future()
    cutting._load(loaded)
    assert loaded.result()(b"", event(), ()) is None
    assert "read one by one" in caplog.text


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the run that it starts")
def test_nothing_is_read_beyond_the_end() -> None:
    """As Python every index is looked at, where compiled loops read whatever is there."""
    chosen = "test_whatever or test_any or test_damaged or test_facts or test_payloads"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", chosen],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=150, check=False,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | texts | st.sampled_from([NEXT, '"', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.dictionaries(texts, values, max_size=3).map(msgspec.json.encode)

# Payloads as others might write them: with gaps, names twice, numbers in every form, and mistakes.
gaps = st.sampled_from(["", "", "", "", " ", "\n\t"])
numbers = (
    st.floats(0, 1e9).map(repr)
    | st.integers(0, 10**17).map(str)
    | st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | st.sampled_from(["-0", "00", "1.", ".5", "1e", "0e999", "-", "1e-400"])
)
written = (
    st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc"]), max_size=300)
    | st.sampled_from(["\\n", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\x", "a\nb", "\x7f", "\\"])
).map('"{}"'.format)
leaves = numbers | written | st.sampled_from(["null", "true", "false", "nul", "{}", "[]", '{"a":}'])
names = st.sampled_from([*FIELDS, "kind", "duration_s", "code", "skill", "a", "", "t\\u0061sk"]).map('"{}"'.format)


def joined(pair: tuple[list[str], str], ends: str) -> str:
    inner, gap = pair
    return ends[0] + gap + f"{gap},{gap}".join(inner) + gap + ends[1]


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(names, gaps, inner).map(lambda parts: f"{parts[0]}{parts[1]}:{parts[1]}{parts[2]}")
    lists = st.tuples(st.lists(inner, max_size=3), gaps).map(lambda pair: joined(pair, "[]"))
    return lists | st.tuples(st.lists(member, max_size=4), gaps).map(lambda pair: joined(pair, "{}"))


short = st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc"]), max_size=5).map(
    '"{}"'.format
)
seconds = st.floats(0, 1e6).map(repr) | st.integers(0, 10**6).map(str) | st.sampled_from(["0.5", "1e3", "2E-3", "null"])
whole = st.integers(0, 65_535).map(str) | st.just("null")
fields = dict.fromkeys(FIELDS, short) | {"duration_s": seconds, "waited_s": seconds, "cost_usd": seconds}
fields |= dict.fromkeys(("attempt", "tokens_in", "tokens_out"), whole)
fields |= {
    name: short.map(f'{{{{"{inner}":{{}}}}}}'.format) for name, inner in (("failure", "code"), ("order", "skill"))
}
fields["observation"] = st.floats(0, 1e6).map('{{"duration_s":{}}}'.format)
fields["violations"] = st.lists(short.map('{{"kind":{}}}'.format), max_size=2).map(lambda each: f"[{','.join(each)}]")
fitting = st.lists(
    st.sampled_from([*fields]).flatmap(lambda name: fields[name].map(f'"{name}":{{}}'.format)),
    max_size=5,
    unique_by=lambda one: one.partition(":")[0],
).map(lambda members: f"{{{','.join(members)}}}".encode())
odd = containers(st.recursive(leaves, containers, max_leaves=5)).map(lambda text: text.encode("utf-8", "replace"))


@given(
    st.lists(st.tuples(texts | st.just("same"), texts | st.none(), fitting | payloads | odd), min_size=2, max_size=6)
)
def test_any_frame_is_cut_as_it_is_parsed_or_not_at_all(made: list[tuple[str, str | None, bytes]]) -> None:
    events = [
        event(n, type="custom.happened", source=source, subject=subject, data=data)
        for n, (source, subject, data) in enumerate(made)
    ]
    same(encode(events)[0])


@given(st.lists(fitting, min_size=2, max_size=6))
def test_payloads_that_fit_are_cut(made: list[bytes]) -> None:
    assert same(encode([event(n, type="custom.happened", data=data) for n, data in enumerate(made)])[0])


@given(
    st.integers(0, 1100),
    st.binary(min_size=0, max_size=3) | st.sampled_from([*b'"\\{}[],:']).map(lambda b: bytes([b])),
    st.integers(0, 3),
)
def test_damaged_bytes_are_cut_as_they_are_parsed_or_not_at_all(at: int, put: bytes, instead_of: int) -> None:
    data = (
        b'{"task":"t","attempt":1,"duration_s":0.5,"failure":{"code":"c"},"violations":[{"kind":"k"}],"o":[1,{"a":2}]}'
    )
    raw, _ = encode([event(number, type="custom.happened", data=data) for number in range(3)])
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
