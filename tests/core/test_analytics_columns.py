"""From messages of the log to Arrow: every fact in its column, and nothing left out that cannot be one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

if os.environ.get("CI") != "true":
    pytest.importorskip("pyarrow")

from events.blobs.memory import MemoryBlobs
from events.blobs.port import BlobMissing
from events.codec import encode
from events.memory import MemoryLog
from events.port import Stored
from projections.analytics import gathering
from projections.analytics.columns import SCHEMA, Part, parts_of, table_of
from projections.analytics.rows import MOST_DATA, Message, decode, whole
from projections.cutting import make_ready
from projections.frames import LEAST
from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidEvent
from schemas.events import payload_types
from schemas.ids import instant_of, uuid7

make_ready()
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def event(type_: str, data: Any, **fields: Any) -> Event:
    raw = data if isinstance(data, bytes) else msgspec.json.encode(data)
    values = {"time": rfc3339(AT), "tenant": "acme", "mission": "m1", "source": "/s", "id": uuid7(), **fields}
    return Event(type=type_, data=msgspec.Raw(raw), **values)


def message(*events: Event, sequence: int = 7) -> Message:
    noun = events[0].type.partition(".")[0]
    verb = "_" if len(events) > 1 else events[0].type.partition(".")[2]
    return decode(Stored(sequence, f"events.acme.m1.{noun}.{verb}", encode(events)[0]))


def rows(*messages: Message) -> list[dict[str, Any]]:
    table = table_of(parts_of(messages))
    assert table.schema == SCHEMA
    table.validate(full=True)
    found: list[dict[str, Any]] = sorted(table.to_pylist(), key=lambda row: (row["sequence"], row["idx"]))
    return found


def row(type_: str, data: Any, **fields: Any) -> dict[str, Any]:
    [found] = rows(message(event(type_, data, **fields)))
    return found


@pytest.mark.parametrize(
    ("type_", "data", "columns"),
    [
        ("task.ready", {"task": "t", "attempt": 2, "skill": "edit"}, {"task": "t", "attempt": 2, "skill": "edit"}),
        ("action.dispatched", {"task": "t", "attempt": 1, "order": {"skill": "edit"}, "queue": "q"}, {"skill": "edit"}),
        ("action.expired", {"worker": None, "failure": {"code": "lost"}}, {"worker": "", "code": "lost"}),
        ("attempt.started", {"worker": "w", "agent": "coder"}, {"worker": "w", "agent": "coder"}),
        (
            "attempt.finished",
            {"outcome": "failed", "failure": {"code": "x"}, "agent": "a", "observation": {"duration_s": 2.5}},
            {"outcome": "failed", "code": "x", "agent": "a", "duration_s": 2.5},
        ),
        ("tool.called", {"tool": "pytest", "duration_s": 0.25}, {"tool": "pytest", "duration_s": 0.25}),
        (
            "llm.completed",
            {"model": "m", "tokens_in": 5, "tokens_out": 6, "cost_usd": 0.1},
            {"model": "m", "tokens_in": 5, "tokens_out": 6, "cost": Decimal("0.1")},
        ),
        ("world.violated", {"violations": [{"kind": "tests_pass"}, {"kind": "x"}]}, {"code": "tests_pass"}),
        ("command.refused", {"verb": "submit", "code": "refused"}, {"code": "refused"}),
        ("mission.failed", {"failure": {"code": "boom"}}, {"code": "boom"}),
        ("order.paid", {"agent": "till", "duration_s": 1, "outcome": "failed"}, {"agent": "till", "duration_s": 1.0}),
    ],
)
def test_payloads_fill_their_columns(type_: str, data: Any, columns: dict[str, Any]) -> None:
    found = row(type_, data)
    assert {name: found[name] for name in columns} == columns
    assert found["defects"] == ""
    assert found["noun"] == type_.partition(".")[0]
    assert msgspec.json.decode(found["data"]) == data


@pytest.mark.parametrize("type_", sorted(payload_types()))
def test_every_type_has_a_row_also_without_data(type_: str) -> None:
    found = row(type_, {})
    assert (found["type"], found["defects"], found["attempt"], found["cost"]) == (type_, "", 0, Decimal(0))


def test_the_envelope_is_kept() -> None:
    fields = {"subject": "s", "causationid": "c", "correlationid": "k", "dataversion": 3}
    found = row("note.posted", {"text": "x"}, id="an-id", **fields)
    expected = {"sequence": 7, "idx": 0, "id": "an-id", "time": AT, "tenant": "acme", "mission": "m1", **fields}
    assert {name: found[name] for name in expected} == expected


def test_frames_and_many_types_keep_their_places() -> None:
    one = message(event("task.ready", {"task": "a"}), event("task.failed", {"task": "b"}), event("task.ready", {}))
    other = message(event("note.posted", {"text": "x"}), sequence=8)
    places = [(r["sequence"], r["idx"], r["type"], r["task"]) for r in rows(one, other)]
    assert places == [
        (7, 0, "task.ready", "a"), (7, 1, "task.failed", "b"), (7, 2, "task.ready", ""), (8, 0, "note.posted", ""),
    ]  # fmt: skip
    assert table_of([]).num_rows == 0
    assert parts_of([]) == []


@pytest.mark.parametrize(
    ("data", "columns", "defects"),
    [
        ({"tool": 5, "duration_s": 1.0}, {"tool": "", "duration_s": 1.0}, "tool"),
        ({"tool": "x" * 1000, "outcome": "succeeded"}, {"tool": "x" * 256, "outcome": "succeeded"}, "tool"),
        ({"duration_s": "long", "attempt": -1, "task": "t"}, {"duration_s": 0.0, "attempt": 0, "task": "t"}, None),
        ({"duration_s": -5.0}, {"duration_s": 0.0}, "duration_s"),
        (b'{"duration_s": 1e999}', {"duration_s": 0.0}, "data"),
        (b'{"duration_s": ' + b"9" * 400 + b"}", {"duration_s": 0.0}, "duration_s"),
        ({"attempt": 70_000}, {"attempt": 0}, "attempt"),
        (b"[1, 2]", {"tool": ""}, "data"),
        (b'"text"', {"tool": ""}, "data"),
        (b"null", {"tool": ""}, "data"),
        (b'{"tool": "caf\xff"}', {"tool": ""}, "data"),
    ],
)
def test_what_does_not_fit_is_named_and_the_rest_is_kept(
    data: Any, columns: dict[str, Any], defects: str | None
) -> None:
    good = event("tool.called", {"tool": "pytest", "task": "t"})
    found, other = rows(message(event("tool.called", data)), message(good, sequence=8))
    assert {name: found[name] for name in columns} == columns
    assert found["defects"] == ("attempt,duration_s" if defects is None else defects)
    assert (other["tool"], other["task"], other["defects"]) == ("pytest", "t", "")


@pytest.mark.parametrize(
    "said", ["yesterday", "", "2026-13-01T00:00:00Z", "9998-01-01T00:00:00Z", "1969-01-01T00:00:00Z"]
)
def test_a_time_that_cannot_be_is_taken_from_the_id(said: str) -> None:
    known = event("note.posted", {"text": "x"}, time=said)
    found, other, unknown = rows(
        message(known), message(event("note.posted", {}), sequence=8),
        message(event("note.posted", {}, time=said, id="no-uuid"), sequence=9),
    )  # fmt: skip
    assert (found["time"], found["defects"]) == (instant_of(known.id), "time")
    assert (other["time"], other["defects"]) == (AT, "")
    assert (unknown["time"], unknown["defects"]) == (datetime(1970, 1, 1, tzinfo=UTC), "time")


@pytest.mark.parametrize("said", ["2026-03-01T14:00:00.123456+02:00", "2026-03-01T12:00:00.123456Z"])
def test_times_with_an_offset_are_times(said: str) -> None:
    found, _ = rows(message(event("note.posted", {}, time=said)), message(event("note.posted", {}), sequence=8))
    assert (found["time"], found["defects"]) == (AT, "")


def test_a_version_out_of_range_is_cut() -> None:
    found = row("note.posted", {"text": "x"}, dataversion=10**20)
    assert (found["dataversion"], found["defects"]) == (65_535, "dataversion")


def test_a_message_under_a_foreign_subject_is_refused() -> None:
    raw = encode([event("mission.completed", {})])[0]
    for subject in ("events.acme.m1.note.posted", "events.other.m1.mission.completed", "events.acme.m2.mission._"):
        with pytest.raises(InvalidEvent, match="but says it is"):
            decode(Stored(1, subject, raw))
    for broken in (b"", b"[]", b"no", b'{"id":""}', raw.replace(b"1.0", b"2.0")):
        with pytest.raises(InvalidEvent):
            decode(Stored(1, "events.acme.m1.mission.completed", broken))


async def test_large_payloads_are_fetched_and_too_large_ones_cut() -> None:
    blobs = MemoryBlobs()
    large = msgspec.json.encode({"tool": "a", "result": {"text": "x" * 100_000}})
    huge = msgspec.json.encode({"tool": "b", "result": {"text": "x" * MOST_DATA}})
    events = [event("tool.called", {}, dataref=await blobs.put(data)) for data in (large, huge)]
    first, second = rows(await whole(message(*events, event("tool.called", {"tool": "c"})), blobs))[:2]
    assert (first["tool"], first["data"], first["defects"]) == ("a", large, "")
    assert (second["tool"], second["defects"]) == ("b", "data")
    assert len(second["data"]) < 1000
    with pytest.raises(BlobMissing):
        await whole(message(event("tool.called", {}, dataref="sha256:" + "0" * 64)), blobs)


def test_frames_are_in_the_order_of_the_store() -> None:
    def frame(sequence: int, mission: str, hours: int) -> Message:
        at = rfc3339(AT + timedelta(hours=hours))
        events = [event("task.ready", {"task": "t"}, mission=mission, time=at) for _ in range(LEAST)]
        return decode(Stored(sequence, f"events.acme.{mission}.task._", encode(events)[0]))

    messages = [frame(1, "m2", 0), frame(2, "m1", 1), frame(3, "m1", 0), frame(4, "m2", 0), frame(5, "m1", 0)]
    table = table_of(parts_of(messages))
    assert {column.num_chunks for column in table.columns} == {1}
    assert table["sequence"].to_pylist()[::LEAST] == [3, 5, 1, 4, 2]
    assert table["idx"].to_pylist() == [*range(LEAST)] * 5


async def test_a_full_batch_is_joined_before_somebody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = threading.Event()

    def joining(parts: Sequence[Part]) -> Any:
        joined.set()
        return table_of(parts)

    monkeypatch.setattr(gathering, "table_of", joining)
    batch = gathering.Gathering(MemoryLog(), gathering.Limits(rows=2), 6)
    one = message(event("task.ready", {"task": "t"})).stored
    assert not await batch.add([one])
    assert not joined.is_set()
    assert [each.sequence for each in await batch.add([one, one])] == [7]
    assert await asyncio.to_thread(joined.wait, 5)
    assert (await batch.table()).num_rows == batch.rows == 2
