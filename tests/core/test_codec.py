"""The codec: between events and messages."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.blobs.memory import MemoryBlobs
from events.blobs.port import BlobMissing, digest_of
from events.codec import (
    FRAME_BYTES,
    FRAME_EVENTS,
    INLINE_LIMIT,
    check_in,
    check_out,
    decode,
    encode,
    frames,
    subject_of,
)
from schemas.envelope import FRAME, SINGLE, Event
from schemas.errors import InvalidEvent

SUBJECT = "events.acme.m1.task.ready"
tokens = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


def event(id_: str = "1", type_: str = "task.ready", *, mission: str = "m1", data: bytes = b"{}") -> Event:
    return Event(
        id=id_,
        source="/test",
        type=type_,
        time="2026-01-31T12:00:00.000000Z",
        tenant="acme",
        mission=mission,
        data=msgspec.Raw(data),
    )


@given(
    st.lists(st.builds(event, st.text(min_size=1), tokens.map("task.{}".format)), min_size=1, max_size=5),
    st.integers(1, 2**53),
)
def test_what_is_encoded_is_decoded(events: list[Event], sequence: int) -> None:
    raw, content_type = encode(events)
    assert content_type == (SINGLE if len(events) == 1 else FRAME)
    assert decode(raw, subject_of(events), sequence) == [
        msgspec.structs.replace(each, sequence=sequence, index=index) for index, each in enumerate(events)
    ]


def test_one_event_is_cloudevents_json() -> None:
    raw, _ = encode([event(data=b'{"a": 1}')])
    assert json.loads(raw) == {
        "id": "1",
        "source": "/test",
        "type": "task.ready",
        "time": "2026-01-31T12:00:00.000000Z",
        "tenant": "acme",
        "mission": "m1",
        "specversion": "1.0",
        "data": {"a": 1},
    }


def test_attributes_that_others_add_are_passed_over() -> None:
    raw = json.dumps({**json.loads(encode([event()])[0]), "theirs": {"x": 1}}).encode()
    assert decode(raw, SUBJECT) == [event()]


def test_the_place_that_a_writer_claims_counts_for_nothing() -> None:
    raw, _ = encode([msgspec.structs.replace(event(), sequence=99, index=7)])
    [found] = decode(raw, SUBJECT, 3)
    assert (found.sequence, found.index) == (3, 0)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b"null", b"[1]", b"\xff", b'{"id":1}', b"[" * 5000, encode([event("")])[0]]
)
def test_what_is_no_event_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidEvent, match="message 7"):
        decode(raw, SUBJECT, 7)


@pytest.mark.parametrize(
    "subject",
    [
        "events.evil.m1.task.ready",
        "events.acme.m2.task.ready",
        "events.acme.m1.task.failed",
        "events.acme.m1.agent._",
        "commands.acme.m1.task.ready",
        "events",
        "",
    ],
)
def test_an_event_must_be_what_its_subject_says(subject: str) -> None:
    with pytest.raises(InvalidEvent, match="came as"):
        decode(encode([event()])[0], subject)


def test_keyed_and_framed_subjects_fit() -> None:
    raw = encode([event()])[0]
    assert decode(raw, f"{SUBJECT}.fix:1") == decode(raw, "events.acme.m1.task._") == [event()]


def test_a_message_has_one_place() -> None:
    assert subject_of([event()], "k") == f"{SUBJECT}.k"
    assert subject_of([event(), event("2", "task.failed")]) == "events.acme.m1.task._"
    for wrong in ([], [event(), event("2", mission="m2")], [event(), event("2", "agent.joined")]):
        with pytest.raises(InvalidEvent):
            subject_of(wrong)
    with pytest.raises(InvalidEvent, match="no key"):
        subject_of([event(), event("2")], "k")


def test_frames_follow_the_order_and_the_nouns() -> None:
    kinds = ["task.ready", "task.failed", "agent.joined", "task.ready", "mission.paused", "mission.resumed"]
    events = [event(str(number), kind) for number, kind in enumerate(kinds)]
    assert [[each.id for each in frame] for frame in frames(events)] == [["0", "1"], ["2"], ["3"], ["4"], ["5"]]
    assert frames([]) == []


def test_frames_are_bounded() -> None:
    assert [len(frame) for frame in frames([event()] * (FRAME_EVENTS * 2 + 1))] == [FRAME_EVENTS, FRAME_EVENTS, 1]
    large = [event(data=b'"' + b"x" * 60_000 + b'"')] * 30
    cut = frames(large)
    assert sum(len(frame) for frame in cut) == 30
    assert max(len(encode(frame)[0]) for frame in cut) <= FRAME_BYTES


async def test_the_claim_check() -> None:
    blobs = MemoryBlobs()
    small = event(data=b'"' + b"x" * (INLINE_LIMIT - 2) + b'"')
    assert await check_in(small, blobs) is small
    large = event(data=b'"' + b"x" * INLINE_LIMIT + b'"')
    travelling = await check_in(large, blobs)
    assert travelling.dataref == digest_of(bytes(large.data))
    assert bytes(travelling.data) == b"{}"
    assert await check_out(travelling, blobs) == large
    with pytest.raises(BlobMissing):
        await check_out(travelling, MemoryBlobs())
