"""Between events and Arrow tables: what comes out is what went in, to the byte.

An event that the columns cannot hold exactly (a time that is not in our form, a payload that is not UTF-8) is kept
whole in the column ``exact`` besides; its columns are then an approximation for queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent

_TEXT = ("id", "tenant", "mission", "type", "noun", "source", "subject")
_TRACE = ("correlationid", "causationid", "traceparent")
SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("index", pa.int32()),
        *((name, pa.string()) for name in _TEXT),
        ("time", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in _TRACE),
        ("dataversion", pa.int32()),
        ("data", pa.string()),
        ("exact", pa.binary()),
    ]
)
_SAME = tuple(name for name in ("sequence", "index", *_TEXT, *_TRACE) if name != "noun")
_LARGEST = 2**31 - 1
_decoder = msgspec.json.Decoder(Event)
_restamp = msgspec.structs.force_setattr


def table_of(events: Sequence[Event]) -> Any:
    """A table with :data:`SCHEMA`, in the order given."""
    times, odd = _times(events)
    data, not_text = _texts([bytes(event.data) for event in events])
    odd |= not_text
    odd.update(number for number, event in enumerate(events) if _is_odd(event))
    columns = {
        **{name: list(map(attrgetter(name), events)) for name in _SAME},
        "noun": [event.type.partition(".")[0] for event in events],
        "time": times,
        "dataversion": [event.dataversion if 0 <= event.dataversion <= _LARGEST else None for event in events],
        "data": data,
        "exact": [msgspec.json.encode(event) if number in odd else None for number, event in enumerate(events)]
        if odd
        else pa.nulls(len(events), pa.binary()),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def events_of(table: Any) -> Iterator[Event]:
    """The events of a table with :data:`SCHEMA`, in its order."""
    for batch in table.to_batches(max_chunksize=16_384):
        columns = {name: batch.column(name) for name in SCHEMA.names}
        columns["time"] = _written(columns["time"])
        columns["data"] = columns["data"].cast(pa.binary())
        names = [name for name in SCHEMA.names if name != "noun"]
        for row in zip(*(columns[name].to_pylist() for name in names), strict=True):
            values = dict(zip(names, row, strict=True))
            yield _event(values)


def days_of(table: Any) -> Any:
    """Column of dates in UTC, ``2026-01-31``; 1970-01-01 where there is no time."""
    text = table.column("time").cast(pa.timestamp("us")).cast(pa.string())
    return pc.fill_null(pc.utf8_slice_codeunits(text, 0, 10), "1970-01-01")


def _event(values: dict[str, Any]) -> Event:
    exact = values.pop("exact")
    if exact is not None:
        event = _decoder.decode(exact)
        _restamp(event, "sequence", values["sequence"])
        _restamp(event, "index", values["index"])
        return event
    data = msgspec.Raw(values.pop("data"))
    return Event(**values, data=data)


def _is_odd(event: Event) -> bool:
    return (
        event.datacontenttype != "application/json"
        or event.dataref is not None
        or event.specversion != "1.0"
        or not 0 <= event.dataversion <= _LARGEST
    )


def _times(events: Sequence[Event]) -> tuple[Any, set[int]]:
    """Column of times, and the numbers of the events whose time is not written as we write it."""
    texts = pa.array([event.time for event in events], pa.string())
    try:
        times = texts.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:
        times = pa.array([_moment(event) for event in events], pa.timestamp("us", tz="UTC"))
    same = pc.fill_null(pc.equal(_written(times), texts), False)
    if pc.all(same).as_py() is not False:
        return times, set()
    return times, {number for number, fits in enumerate(same.to_pylist()) if not fits}


def _moment(event: Event) -> Any:
    try:
        moment = moment_of(event)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (InvalidEvent, OverflowError):  # what it said is kept in ``exact``
        return None


def _written(times: Any) -> Any:
    """As :func:`schemas.envelope.rfc3339` writes them."""
    text = times.cast(pa.timestamp("us")).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")


def _texts(payloads: list[bytes]) -> tuple[Any, set[int]]:
    """Column of texts, and the numbers of those that are not UTF-8."""
    try:
        return pa.array(payloads, pa.binary()).cast(pa.string()), set()
    except pa.ArrowInvalid:
        shown = [payload.decode("utf-8", "replace") for payload in payloads]
        return pa.array(shown, pa.string()), {
            number
            for number, (payload, text) in enumerate(zip(payloads, shown, strict=True))
            if text.encode() != payload
        }
