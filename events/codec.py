"""Between events and bytes: CloudEvents JSON, single or batch, with large payloads left at the blob store.

The claim check: a payload over :data:`INLINE_LIMIT` is stored under its content hash and the event carries the
reference (``dataref``, as the CloudEvents extension of that name has it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from events.blobs.port import BlobStore
from events.port import Stored
from schemas.envelope import FRAME, SINGLE, Event
from schemas.errors import InvalidEvent, PayloadTooLarge
from schemas.subjects import FRAMED, of_event, of_frame


class Enveloped(Protocol):
    """What :func:`check_place` needs to know of an event."""

    @property
    def specversion(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def mission(self) -> str: ...


INLINE_LIMIT = 64 * 1024
PAYLOAD_LIMIT = 256 * 1024 * 1024
FRAME_BYTES = 512 * 1024
FRAME_EVENTS = 1000
_ALONE = {"mission"}
# Checking the parts of a subject takes as long as encoding the event, and a writer has few subjects.
_MOST_SUBJECTS = 4096
_subjects: dict[tuple[str, str, str], str] = {}

_stamp = msgspec.structs.force_setattr
_encoder = msgspec.json.Encoder()
_one = msgspec.json.Decoder(Event)
_many = msgspec.json.Decoder(list[Event])


def encode(events: Sequence[Event]) -> tuple[bytes, str]:
    """Bytes and content type of a message with these events."""
    if len(events) == 1:
        return _encoder.encode(events[0]), SINGLE
    return _encoder.encode(events), FRAME


def subject_of(events: Sequence[Event], key: str | None = None) -> str:
    """The subject of a message with these events.

    Raises:
        InvalidEvent: there are none, or several that are not of one noun and mission, or several with a key.
        InvalidIdentifier: a tenant, mission, type or key cannot be part of a subject.
    """
    if not events:
        raise InvalidEvent("a message needs at least one event")
    first = events[0]
    if len(events) == 1:
        return of_event(first, key) if key else _of_single(first)
    tenant, mission, noun = first.tenant, first.mission, first.type.partition(".")[0]
    prefix = f"{noun}."
    same = all(e.mission == mission and e.type.startswith(prefix) and e.tenant == tenant for e in events)
    if not same or key is not None:
        raise InvalidEvent(
            f"{len(events)} events cannot travel in one message: a frame has one noun, one mission, and no key",
            hint="events.codec.frames cuts events into messages",
        )
    return of_frame(tenant, mission, noun)


def _of_single(event: Event) -> str:
    place = (event.tenant, event.mission, event.type)
    subject = _subjects.get(place)
    if subject is None:
        subject = of_event(event)
        if len(_subjects) >= _MOST_SUBJECTS:
            _subjects.clear()
        _subjects[place] = subject
    return subject


def decode(raw: bytes, subject: str, sequence: int = 0) -> list[Event]:
    """The events of one message, stamped with their place in the log.

    What an event says of itself must agree with the subject it came by: the server lets each role write under certain
    subjects only, and a worker's message that calls itself ``mission.completed`` would go around that.

    Raises:
        InvalidEvent: the bytes are neither an event nor a frame, or do not belong to the subject.
    """
    events = _decoded(raw, sequence)
    check_place(events, subject, sequence)
    for index, event in enumerate(events):
        # The event was made a few lines above and nobody else has it yet: stamping it in place saves a copy an event.
        if event.sequence != sequence:
            _stamp(event, "sequence", sequence)
        if event.index != index:
            _stamp(event, "index", index)
    return events


def unstamped(stored: Stored) -> tuple[Sequence[Event], frozenset[str]]:
    """The events of a message without their place in the log, and their types. Shared among readers: not to be changed.

    Stamping a thousand events of a frame takes a tenth of the time of decoding them, and readers at volume know the
    place once for all. Raises as :func:`decode` does.
    """
    found: tuple[Sequence[Event], frozenset[str]] | None = stored.notes.get("events")
    if found is None:
        events = _decoded(stored.raw, stored.sequence)
        found = events, frozenset(check_place(events, stored.subject, stored.sequence))
        stored.notes["events"] = found
    return found


def _decoded(raw: bytes, sequence: int) -> list[Event]:
    try:
        return _many.decode(raw) if raw[:1] == b"[" else [_one.decode(raw)]
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent(f"message {sequence} is no CloudEvent: {error}") from error


def check_place(events: Sequence[Enveloped], subject: str, sequence: int) -> set[str]:
    """The types of the events of one message, which belongs where it lies. Raises :class:`InvalidEvent`."""
    if not events:
        raise InvalidEvent(f"message {sequence} is an empty frame")
    said = _said(events)
    kind, tenant, mission, noun, verb, *_ = (*subject.split("."), "", "", "", "")
    single, prefix = f"{noun}.{verb}", f"{noun}." if verb == FRAMED else "\0"
    for its_tenant, its_mission, its_type, version in said:
        if version != "1.0":
            raise InvalidEvent(f"message {sequence} is no CloudEvent 1.0 of ours: id and specversion 1.0 are needed")
        fits = its_type.startswith(prefix) or its_type == single
        if not fits or its_mission != mission or its_tenant != tenant or kind != "events":
            raise InvalidEvent(
                f"message {sequence} came as {subject!r} but says it is {its_type!r} of mission {its_mission!r} "
                f"of tenant {its_tenant!r}"
            )
    return {each[2] for each in said}


def _said(events: Sequence[Enveloped]) -> set[tuple[str, str, str, str]]:
    """The different things that events say of their place, with no version for one that has no id.

    The events of a frame say the same a thousand times, so they are compared with the first one as long as they do.
    """
    first = events[0]
    tenant, mission, kind, version = first.tenant, first.mission, first.type, first.specversion
    for each in events:
        if (
            each.type != kind
            or each.mission != mission
            or each.tenant != tenant
            or each.specversion != version
            or not each.id
        ):
            break
    else:
        return {(tenant, mission, kind, version)}
    return {(each.tenant, each.mission, each.type, each.specversion if each.id else "") for each in events}


async def check_in(event: Event, blobs: BlobStore) -> Event:
    """The event as it travels: a large payload goes to the blob store."""
    size = len(event.data)
    if size <= INLINE_LIMIT:
        return event
    if size > PAYLOAD_LIMIT:
        raise PayloadTooLarge(
            f"the data of {event.type} has {size:,} bytes; the limit is {PAYLOAD_LIMIT:,}",
            hint="store the content in a workspace and let the event refer to it",
        )
    digest = await blobs.put(bytes(event.data))
    return msgspec.structs.replace(event, data=msgspec.Raw(b"{}"), dataref=digest)


async def check_out(event: Event, blobs: BlobStore) -> Event:
    """The event with its payload, fetched from the blob store where it is only referred to."""
    if event.dataref is None:
        return event
    return msgspec.structs.replace(event, data=msgspec.Raw(await blobs.get(event.dataref)), dataref=None)


def frames(events: Iterable[Event]) -> list[tuple[Event, ...]]:
    """Cut events into messages: runs of one mission and noun, bounded in number and bytes; order is kept.

    Events of missions themselves always travel alone: whoever starts finds the open missions by their subjects.
    """
    result: list[tuple[Event, ...]] = []
    current: list[Event] = []
    place: tuple[str, str, str] | None = None
    size = 0
    for event in events:
        here = (event.tenant, event.mission, event.type.partition(".")[0])
        weight = len(event.data) + 400
        if current and (
            here != place or here[2] in _ALONE or size + weight > FRAME_BYTES or len(current) >= FRAME_EVENTS
        ):
            result.append(tuple(current))
            current, size = [], 0
        current.append(event)
        place, size = here, size + weight
    if current:
        result.append(tuple(current))
    return result


def frame_id(events: Sequence[Event]) -> str:
    """The message id: that of the event if it is alone, else a digest of all ids in their order.

    With the id of its first event a frame would be taken for any other frame that begins alike: published again with
    one more event, that event would be lost.
    """
    if len(events) == 1:
        return events[0].id
    digest = hashlib.blake2b("\n".join([event.id for event in events]).encode(), digest_size=16)
    return f"frame-{digest.hexdigest()}"
