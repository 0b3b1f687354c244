"""The envelope: CloudEvents 1.0, times in UTC, raw data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from schemas.envelope import Event, moment_of, rfc3339
from schemas.errors import InvalidEvent


def event(**changes: object) -> Event:
    known: dict[str, object] = {"id": "1", "source": "/test", "type": "task.ready", "time": "", "tenant": "acme"}
    return Event(**{**known, **changes})  # type: ignore[arg-type]


def test_an_event_never_changes() -> None:
    with pytest.raises(AttributeError):
        event().id = "2"  # type: ignore[misc]


def test_what_is_as_usual_is_not_written_but_the_version_is() -> None:
    assert msgspec.to_builtins(event()) == {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": "task.ready",
        "time": "",
        "tenant": "acme",
    }


def test_times_are_utc_with_microseconds() -> None:
    berlin = timezone(timedelta(hours=1))
    moment = datetime(2026, 1, 31, 13, 0, 0, 5, tzinfo=berlin)
    assert rfc3339(moment) == "2026-01-31T12:00:00.000005Z"
    assert moment_of(event(time=rfc3339(moment))) == moment
    assert moment_of(event(time="2026-01-31T12:00:00+01:00")) == datetime(2026, 1, 31, 11, tzinfo=UTC)


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(InvalidEvent, match="'yesterday', which is not RFC 3339"):
        moment_of(event(time="yesterday"))


def test_data_is_parsed_when_asked_for() -> None:
    assert event(data=msgspec.Raw(b'{"a":[1,null]}')).data_as_dict() == {"a": [1, None]}
    assert event().data_as_dict() == {}


@pytest.mark.parametrize("data", [b"[1]", b"null", b'"text"', b"{", b""])
def test_data_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidEvent, match="event 1"):
        event(data=msgspec.Raw(data)).data_as_dict()
