"""What a viewer types: where to go, and which events to choose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from events.replay import Choice, Cursor
from schemas.errors import InvalidInput
from stigmergy.cli.tailing import instant

if TYPE_CHECKING:
    from stigmergy.replaying import Scene

_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_NUMBER = re.compile(r"[0-9]+")
_TIMED = re.compile(r"\d+-|\d{1,2}:|\d+(\.\d+)?[smhd]$")
_NAMES = ("type", "task", "agent", "worker")
_TIMES = ("since", "until")


def go_to(cursor: Cursor[Scene], said: str) -> None:
    """Jump to ``17``, the 17th event, to ``seq:1234``, a place in the log, or to ``12:30:15``, a time.

    A time without a day is of the day of the event at hand. Raises :class:`InvalidInput`.
    """
    number = said.removeprefix("seq:")
    if _TIMED.match(said):
        cursor.jump_to_moment(moment_said(said, day_of(cursor)))
    elif not _NUMBER.fullmatch(number):
        raise InvalidInput(
            f"{said!r} is no event",
            hint="write its number, seq: and its sequence in the log, or a time such as 12:30:15",
        )
    elif number is not said:
        cursor.jump_to_sequence(int(number))
    else:
        cursor.jump(int(number))


def day_of(cursor: Cursor[Scene]) -> datetime | None:
    """When the event at hand happened, or the first one; None for a film without events."""
    return cursor.about[max(cursor.position - 1, 0)].moment if cursor.about else None


def choice_of(typed: str, asked: Choice, day: datetime | None = None) -> Choice:
    """What is typed as a filter: ``type:task.* task:fix-* agent:tester worker:w-1 error``, other words are sought.

    ``since:`` and ``until:`` take a time of day of this machine, an ISO time, or how long ago. Nothing typed is the
    choice that was asked for at first. Raises :class:`InvalidInput` for what is no time, and for a name alone.
    """
    if not typed:
        return asked
    named: dict[str, tuple[str, ...]] = dict.fromkeys(_NAMES, ())
    times: dict[str, datetime | None] = {"since": asked.since, "until": asked.until}
    words: list[str] = []
    errors = False
    for word in typed.split():
        name, colon, pattern = word.partition(":")
        if word == "error":
            errors = True
        elif not colon or name not in (*_NAMES, *_TIMES):
            words.append(word)
        elif not pattern:
            raise InvalidInput(f"{word!r} says nothing", hint=f"for instance {_EXAMPLES[name]}")
        elif name in times:
            times[name] = moment_said(pattern, day)
        else:
            named[name] += (pattern,)
    if times["since"] and times["until"] and times["since"] > times["until"]:
        raise InvalidInput("since: is later than until:", hint="the earlier time goes to since:")
    return replace(
        asked,
        types=named["type"] or asked.types,
        tasks=named["task"] or asked.tasks,
        agents=named["agent"] or asked.agents,
        workers=named["worker"] or asked.workers,
        since=times["since"],
        until=times["until"],
        text=" ".join(words),
        errors=errors,
    )


def completed(typed: str, values: Mapping[str, Iterable[str]]) -> str | None:
    """The line with its last word made whole: a name of the language of filters, or one of the values of that name."""
    last = typed.rpartition(" ")[2]
    name, colon, begun = last.partition(":")
    known = sorted(values.get(name, ())) if colon else [*(f"{one}:" for one in (*_NAMES, *_TIMES)), "error"]
    sought = begun if colon else last
    found = next((one for one in known if one.startswith(sought) and one != sought), None)
    return typed + found[len(sought) :] if found is not None and last else None


_EXAMPLES = {
    "type": "type:task.*", "task": "task:fix-*", "agent": "agent:tester", "worker": "worker:w-1",
    "since": "since:12:30", "until": "until:12:31:15",
}  # fmt: skip


def moment_said(said: str, day: datetime | None) -> datetime:
    """A time of day on the day of the film, or anything that ``--since`` takes. Raises :class:`InvalidInput`."""
    if _CLOCK.fullmatch(said):
        try:
            of_day = time.fromisoformat(said.zfill(len(said) + 1) if said[1] == ":" else said)
        except ValueError:
            raise InvalidInput(f"{said!r} is no time of day", hint="write 12:30 or 12:30:15.250") from None
        return datetime.combine((day or datetime.now(UTC)).astimezone().date(), of_day).astimezone(UTC)
    return instant(said)
