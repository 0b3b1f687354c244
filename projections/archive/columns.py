"""Between events and Arrow tables: what comes out is what went in, to the byte.

An event that the columns cannot hold exactly (a time that is not in our form, a payload that is not UTF-8) is kept
whole in the column ``exact`` besides; its columns are then an approximation for queries.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain, groupby
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from projections.archive.messages import Message
from projections.frames import TIME, constant, counted, repeated, times_of
from schemas.envelope import Event

_TEXT = ("id", "tenant", "mission", "type", "noun", "source", "subject")
_TRACE = ("correlationid", "causationid", "traceparent")
SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("index", pa.int32()),
        *((name, pa.string()) for name in _TEXT),
        ("time", TIME),
        *((name, pa.string()) for name in _TRACE),
        ("dataversion", pa.int32()),
        ("data", pa.string()),
        ("exact", pa.binary()),
    ]
)
_LARGEST = 2**31 - 1
_decoder = msgspec.json.Decoder(Event)
_restamp = msgspec.structs.force_setattr
_raw = msgspec.Raw
_AT_ONCE = 16_384
_DAY = 86_400_000_000
_READ = (
    "id", "source", "type", "time", "tenant", "mission", "subject", "dataversion", "causationid", "correlationid",
    "traceparent", "sequence", "index", "data",
)  # fmt: skip


def table_of(ordered: Sequence[Message]) -> Any:
    """A table with :data:`SCHEMA`, in the order given; messages keep their rows together."""
    made: list[Any] = []
    for framed, together in groupby(ordered, key=lambda message: message.frame is not None):
        messages = list(together)
        made += map(_of_frame, messages) if framed else [_of_events(messages)]
    return pa.concat_tables(made) if made else SCHEMA.empty_table()


def _of_frame(message: Message) -> Any:
    frame = message.frame
    assert frame is not None
    many = frame.many
    columns = {
        "sequence": pa.repeat(pa.scalar(message.sequence, pa.int64()), many),
        "index": counted(many),
        "tenant": constant(frame.tenant, many),
        "mission": constant(frame.mission, many),
        "type": constant(frame.type, many),
        "noun": constant(frame.type.partition(".")[0], many),
        **frame.columns,
        "dataversion": pa.repeat(pa.scalar(frame.dataversion, pa.int32()), many),
        "exact": pa.nulls(many, pa.binary()),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _of_events(messages: Sequence[Message]) -> Any:
    sizes = [len(message.events) for message in messages]
    events = list(chain.from_iterable(message.events for message in messages))
    times, odd = _times([event.time for event in events])
    data, not_text = _texts([event.data for event in events])
    versions, large = _versions([event.dataversion for event in events])
    odd |= not_text | large | _odd(events)
    columns = {
        "sequence": _spread(pa.int64(), "q", [message.sequence for message in messages], sizes),
        "index": _indexes(sizes),
        "tenant": _each([message.events[0].tenant for message in messages], sizes, pa.string()),
        "mission": _each([message.events[0].mission for message in messages], sizes, pa.string()),
        "noun": _each([message.events[0].type.partition(".")[0] for message in messages], sizes, pa.string()),
        "type": _types(messages, sizes),
        **{name: repeated(list(map(attrgetter(name), events))) for name in ("source", "subject", *_TRACE)},
        "id": pa.array([event.id for event in events], pa.string()),
        "time": times,
        "dataversion": versions,
        "data": data,
        "exact": _exact(events, odd),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def events_of(table: Any) -> Iterator[Event]:
    """The events of a table with :data:`SCHEMA`, in its order."""
    for begin in range(0, table.num_rows, _AT_ONCE):
        yield from events_in(table.slice(begin, _AT_ONCE))


def events_in(table: Any) -> list[Event]:
    """The same, all at once: column by column into Python, which takes a third of the time of row by row."""
    columns = [_plain(name, table.column(name)).to_pylist() for name in _READ]
    # The calls below are written out, and all in one place, because this is where a replay spends its time.
    events = [
        Event(
            specversion="1.0", id=i, source=o, type=y, time=w, tenant=t, mission=m, subject=s, dataversion=v,
            causationid=c, correlationid=k, traceparent=p, sequence=n, index=x, data=_raw(d),
        )
        for i, o, y, w, t, m, s, v, c, k, p, n, x, d in zip(*columns, strict=True)
    ]  # fmt: skip
    exact = table.column("exact")
    if exact.null_count < table.num_rows:
        for number, whole in enumerate(exact.to_pylist()):
            if whole is not None:
                event = _decoder.decode(whole)
                _restamp(event, "sequence", events[number].sequence)
                _restamp(event, "index", events[number].index)
                events[number] = event
    return events


def _plain(name: str, column: Any) -> Any:
    if name == "time":
        return pc.fill_null(_written(column), "")
    if name == "data":
        return column.cast(pa.binary())
    return pc.fill_null(column, 1) if name == "dataversion" and column.null_count else column


def days_of(table: Any) -> Any:
    """Column of dates in UTC, ``2026-01-31``; 1970-01-01 where there is no time."""
    text = table.column("time").cast(pa.timestamp("us")).cast(pa.string())
    return pc.fill_null(pc.utf8_slice_codeunits(text, 0, 10), "1970-01-01")


def day_of(table: Any) -> str | None:
    """The date of all rows, if they have the same one and it is not before 1970: much cheaper than :func:`days_of`."""
    times = table.column("time")
    if times.null_count or not table.num_rows:
        return None
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    if bounds["min"] < 0 or bounds["min"] // _DAY != bounds["max"] // _DAY:
        return None
    return datetime.fromtimestamp(bounds["min"] // 1_000_000, UTC).date().isoformat()


def _each(values: list[Any], sizes: list[int], kind: Any) -> Any:
    """A value for each message, as often as the message has rows."""
    if values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), sum(sizes))
    if len(values) == sum(sizes):
        return pa.array(values, kind)
    return pa.array(values, kind).take(_spread(pa.int32(), "i", range(len(values)), sizes))


def _spread(kind: Any, code: str, values: Iterable[int], sizes: list[int]) -> Any:
    """Numbers, each as often as its message has rows."""
    made = array(code)
    for value, size in zip(values, sizes, strict=True):
        made.extend(array(code, (value,)) * size)
    return _from(kind, made)


def _indexes(sizes: list[int]) -> Any:
    """0, 1, 2 … anew for each message."""
    count, made = array("i", range(max(sizes))), array("i")
    for size in sizes:
        made.extend(count[:size])
    return _from(pa.int32(), made)


def _from(kind: Any, numbers: array[int]) -> Any:
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _types(messages: Sequence[Message], sizes: list[int]) -> Any:
    kinds = [message.type for message in messages]
    if None not in kinds:
        return _each(kinds, sizes, pa.string())
    return pa.array([event.type for message in messages for event in message.events], pa.string())


def _versions(values: list[int]) -> tuple[Any, set[int]]:
    if values.count(1) == len(values):
        return pa.repeat(pa.scalar(1, pa.int32()), len(values)), set()
    large = {number for number, value in enumerate(values) if not 0 <= value <= _LARGEST}
    return pa.array([None if n in large else value for n, value in enumerate(values)], pa.int32()), large


def _odd(events: Sequence[Event]) -> set[int]:
    """Numbers of the events whose payload claims to be something else than JSON: there is no column for it."""
    kinds = [event.datacontenttype for event in events]
    if kinds.count("application/json") == len(kinds):
        return set()
    return {number for number, kind in enumerate(kinds) if kind != "application/json"}


def _exact(events: Sequence[Event], odd: set[int]) -> Any:
    if not odd:
        return pa.nulls(len(events), pa.binary())
    return pa.array([msgspec.json.encode(e) if n in odd else None for n, e in enumerate(events)], pa.binary())


def _times(texts: list[str]) -> tuple[Any, set[int]]:
    """Column of times, and the numbers of those that are not written as we write them."""
    times = times_of(texts)
    if times is not None:
        return times, set()
    column = pa.array(texts, pa.string())
    try:
        times = column.cast(TIME)
    except pa.ArrowInvalid:
        times = pa.array([_moment(text) for text in texts], TIME)
    same = pc.fill_null(pc.equal(_written(times), column), False)
    return times, {number for number, fits in enumerate(same.to_pylist()) if not fits}


def _moment(text: str) -> Any:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):  # what it said is kept in ``exact``
        return None


def _written(times: Any) -> Any:
    """As :func:`schemas.envelope.rfc3339` writes them."""
    text = times.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")


def _texts(payloads: Sequence[Any]) -> tuple[Any, set[int]]:
    """Column of texts, and the numbers of those that are not UTF-8. They are joined once, and not copied one by one."""
    if sum(map(len, payloads)) > _LARGEST:  # more than offsets of 32 bits can say: in pieces
        half = len(payloads) // 2
        (first, odd), (second, more) = _texts(payloads[:half]), _texts(payloads[half:])
        return _pieces(first, second), odd | {half + number for number in more}
    joined = b"".join(payloads)
    ends = pa.py_buffer(array("i", accumulate(map(len, payloads), initial=0)))
    buffers = [None, ends, pa.py_buffer(joined)]
    if joined.isascii():
        return pa.Array.from_buffers(pa.string(), len(payloads), buffers), set()
    column = pa.Array.from_buffers(pa.binary(), len(payloads), buffers)
    try:
        return column.cast(pa.string()), set()
    except pa.ArrowInvalid:
        shown = [bytes(payload).decode("utf-8", "replace") for payload in payloads]
        odd = {
            n for n, (payload, text) in enumerate(zip(payloads, shown, strict=True)) if text.encode() != bytes(payload)
        }
        return pa.array(shown, pa.string()), odd


def _pieces(*columns: Any) -> Any:
    return pa.chunked_array([piece for one in columns for piece in getattr(one, "chunks", [one])], pa.string())
