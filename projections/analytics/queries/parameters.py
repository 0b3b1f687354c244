"""Parameters of templates: what a person writes becomes the value of a typed placeholder in the SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.errors import InvalidInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])", re.ASCII)
_BUCKETS = {"minute": 60, "hour": 3600, "day": 86_400}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2106, 1, 1, tzinfo=UTC)
"""Minutes, hours and days are kept as seconds in 32 bits, which end on 7 February 2106; templates round up to days."""
LONGEST = 512
LONGEST_BUCKET_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a template.

    Attributes:
        kind: ``time``, ``bucket``, ``text``, ``whole`` or ``choice``.
        default: as a person would write it.
        choices: of a choice.
        most: the greatest of a whole number.
    """

    name: str
    kind: str
    default: str
    description: str = ""
    choices: tuple[str, ...] = ()
    most: int = 0

    def read(self, said: Any, now: datetime) -> Any:
        """The value for the engine. Raises :class:`InvalidInput`, naming the parameter and what would fit."""
        text = str(said).strip()
        if len(text) > LONGEST:
            raise InvalidInput(f"{self.name} is longer than {LONGEST} characters", hint="write less")
        return _READERS[self.kind](self, text, now)

    @property
    def greatest(self) -> int:
        """The greatest number that :meth:`read` gives; 0 where it gives none."""
        return LONGEST_BUCKET_S if self.kind == "bucket" else self.most

    @property
    def fits(self) -> str:
        """What may be written, in a few words."""
        match self.kind:
            case "time":
                return "90s, 10m, 2h, 3d, 4w before now; an ISO time; now; or begin"
            case "bucket":
                return "minute, hour, day, or such as 5m, 6h"
            case "whole":
                return f"1 to {self.most}"
            case "choice":
                return ", ".join(self.choices)
        return "text"


def _time(parameter: Parameter, text: str, now: datetime) -> str:
    if text == "begin":
        moment = _FIRST
    elif text == "now":
        moment = now
    elif span := _SPAN.fullmatch(text):
        moment = max(now - timedelta(seconds=min(float(span[1]) * _UNITS[span[2]], 1e10)), _FIRST)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _misfit(parameter, text) from None
        try:
            moment = (moment if moment.tzinfo else moment.astimezone()).astimezone(UTC)
        except (OverflowError, ValueError):  # beyond the years that Python has, in UTC
            raise _out_of_bounds(parameter, text) from None
    if not _FIRST <= moment <= _LAST:
        raise _out_of_bounds(parameter, text)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _bucket(parameter: Parameter, text: str, now: datetime) -> int:
    span = _SPAN.fullmatch(text)
    seconds = float(span[1]) * _UNITS[span[2]] if span else _BUCKETS.get(text, 0)
    if seconds < 60 or seconds % 60 or seconds > LONGEST_BUCKET_S:
        raise _misfit(parameter, text)
    return int(seconds)


def _text(parameter: Parameter, text: str, now: datetime) -> str:
    return text


def _whole(parameter: Parameter, text: str, now: datetime) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= parameter.most:
        raise _misfit(parameter, text)
    return int(text)


def _choice(parameter: Parameter, text: str, now: datetime) -> str:
    if text not in parameter.choices:
        raise _misfit(parameter, text)
    return text


_READERS: dict[str, Callable[[Parameter, str, datetime], Any]] = {
    "time": _time,
    "bucket": _bucket,
    "text": _text,
    "whole": _whole,
    "choice": _choice,
}
KINDS = tuple(_READERS)


def _out_of_bounds(parameter: Parameter, text: str) -> InvalidInput:
    return InvalidInput(
        f"{_shown(text)} is no time that the store can hold for the parameter {parameter.name}",
        hint=f"write a time from {_FIRST:%Y-%m-%d} to {_LAST:%Y-%m-%d}",
    )


def _misfit(parameter: Parameter, text: str) -> InvalidInput:
    return InvalidInput(f"{_shown(text)} does not fit the parameter {parameter.name}", hint=f"write {parameter.fits}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
