"""What can go wrong with the store of the analytics, in the words of our error tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import Conflict, DiskFull, StigmergyError, Unavailable

_CODE = re.compile(r"Code: (\d+)\.")
_FULL = {"243"}
_FULL_TEXT = ("No space left on device", "NOT_ENOUGH_SPACE", "File too large", "Disk quota exceeded")
_DENIED = {"192", "193", "194", "497", "516"}


class AnalyticsUnavailable(Unavailable):
    """ClickHouse does not answer, does not let us in, or cannot do now what it was asked for."""

    code = "analytics_unavailable"


class AnotherSink(Conflict):
    """Another process writes to the same store."""

    code = "another_sink"
    retryable = False


@contextmanager
def explained(name: str, what: str) -> Iterator[None]:
    """Turn what an engine says into errors of ours.

    Args:
        name: the store, for people; without credentials.
        what: what was being done, an infinitive.

    Raises:
        DiskFull: no space, no quota.
        AnalyticsUnavailable: anything else, with what the engine said.
    """
    try:
        yield
    except StigmergyError:
        raise
    except MemoryError as error:
        raise AnalyticsUnavailable(f"{name} cannot {what}: out of memory", hint="give it more memory") from error
    except Exception as error:  # every layer below has errors of its own: sockets, HTTP, the driver, the engine
        raise _ours(name, what, str(error) or type(error).__name__) from error


def _ours(name: str, what: str, said: str) -> StigmergyError:
    found = _CODE.findall(said)
    said = " ".join(said.split())
    shown = said if len(said) <= 400 else said[:399] + "…"
    if any(text in said for text in _FULL_TEXT) or (found and found[-1] in _FULL):
        return DiskFull(f"{name} cannot {what}: {shown}", hint="free some space where ClickHouse keeps its data")
    if found and found[-1] in _DENIED:
        return AnalyticsUnavailable(
            f"{name} refuses to {what}: {shown}", hint="check user, password and grants of STIGMERGY_CLICKHOUSE_URL"
        )
    return AnalyticsUnavailable(f"{name} cannot {what}: {shown}", hint="does it run? see STIGMERGY_CLICKHOUSE_URL")
