"""The film of a mission under the viewer's hands: what the keys do, and which event is due. Knows no terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from events.replay import Choice, Cursor, Pace
from schemas.errors import InvalidInput
from stigmergy.cli.tailing import instant
from stigmergy.cli.timeline import Attempt, attempts_of

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.replaying import Scene
    from stigmergy.world_panel import WorldFold

_AT_ONCE = 200
_PAGE = 10
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
HELP = "space play/pause  ←/→ step  [ ] speed  e/E error  g go to  / filter  tab panel  home/end  q quit"


class Player:
    """One mission, played.

    Attributes:
        mode: ``goto`` or ``filter`` while the viewer types; else empty.
        typed: what was typed so far.
        message: the last complaint, until the next key.
        live: whether more events may come.
        panel: what is shown of the state: ``tasks``, ``notes`` (scratchpads), or ``world``.
    """

    def __init__(
        self, cursor: Cursor[Scene], pace: Pace, *, live: bool = False, world: WorldFold | None = None
    ) -> None:
        self.cursor = cursor
        self.pace = pace
        self.live = live
        self.world = world
        self.panels = ("tasks", "notes") if world is None else ("tasks", "notes", "world")
        self.panel = self.panels[0]
        self.mode = ""
        self.typed = ""
        self.message = ""
        self.left = False
        self._asked = cursor.choice
        self._attempts: tuple[int, list[Attempt]] = (0, [])

    @property
    def moment(self) -> datetime | None:
        """When the event under the cursor happened."""
        return self.cursor.about[self.cursor.position - 1].moment if self.cursor.position else None

    @property
    def _begin(self) -> datetime | None:
        return self.cursor.about[0].moment if self.cursor.about else None

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts of the whole film, as far as it is known."""
        if self._attempts[0] != len(self.cursor):
            self._attempts = len(self.cursor), attempts_of(self.cursor.events)
        return self._attempts[1]

    def extend(self, events: Sequence[Event]) -> None:
        """More events came; a viewer at the end sees them, another one stays where he is."""
        self.cursor.extend(events)

    def tick(self) -> float:
        """Show what is due. Returns the seconds until the next event is; infinity if none is or it is paused."""
        for _ in range(_AT_ONCE):
            number = self.cursor.next_wanted()
            if number is None:
                return math.inf
            moment = self.cursor.about[number - 1].moment
            if (wait := self.pace.wait_s(moment)) > 0:
                return wait
            self.cursor.jump(number)
            self.pace.shown(moment)
        return 0.0

    def press(self, key: str) -> None:
        """One key, by the names of :func:`~stigmergy.cli.terminal_keys.keys_in`. Unknown ones do nothing."""
        self.message = ""
        if self.mode:
            self._type(key)
        elif (act := self._keys.get(key)) is not None:
            act(self)

    def _type(self, key: str) -> None:
        if key == "escape":
            self.mode = self.typed = ""
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif key == "enter":
            mode, typed, self.mode, self.typed = self.mode, self.typed.strip(), "", ""
            try:
                self._goto(typed) if mode == "goto" else self._filter(typed)
            except InvalidInput as error:
                self.message = f"{error.message}; {error.hint}"
        elif len(key) == 1:
            self.typed += key

    def _goto(self, typed: str) -> None:
        if typed:
            go_to(self.cursor, typed)
            self._still()

    def _filter(self, typed: str) -> None:
        self.cursor.choice = choice_of(typed, self._asked, self.moment or self._begin)

    def _still(self) -> None:
        self.pace.pause()
        self.pace.jump(self.moment)

    def _moved(self, moved: bool, why_not: str) -> None:
        self.message = "" if moved else why_not
        self._still()

    def _play(self) -> None:
        if not self.pace.paused:
            self.pace.pause()
            return
        if self.cursor.at_end and not self.live:
            self.cursor.jump(0)
        self.pace.jump(self.moment)
        self.pace.resume()

    def _many(self, go: Callable[[], bool]) -> None:
        for _ in range(_PAGE):
            if not go():
                break
        self._still()

    def _home(self) -> None:
        self.cursor.jump(0)
        self._still()

    def _end(self) -> None:
        self.cursor.jump(len(self.cursor))
        self._still()
        if self.live:
            self.pace.resume()

    def _ask(self, mode: str) -> None:
        self.pace.pause()
        self.mode = mode

    def _turn(self) -> None:
        self.panel = self.panels[(self.panels.index(self.panel) + 1) % len(self.panels)]

    def _leave(self) -> None:
        self.left = True

    _keys: dict[str, Callable[[Player], None]] = {  # noqa: RUF012 - a table that nobody changes
        " ": _play,
        "right": lambda self: self._moved(self.cursor.step(), "this is the last event"),
        "left": lambda self: self._moved(self.cursor.back(), "this is the beginning"),
        "down": lambda self: self._moved(self.cursor.step(), "this is the last event"),
        "up": lambda self: self._moved(self.cursor.back(), "this is the beginning"),
        "page-down": lambda self: self._many(self.cursor.step),
        "page-up": lambda self: self._many(self.cursor.back),
        "e": lambda self: self._moved(self.cursor.next_error(), "no error from here on"),
        "E": lambda self: self._moved(self.cursor.previous_error(), "no error before this"),
        "]": lambda self: self.pace.faster(),
        "[": lambda self: self.pace.faster(-1),
        "shift-right": lambda self: self.pace.faster(),
        "shift-left": lambda self: self.pace.faster(-1),
        "home": _home,
        "end": _end,
        "g": lambda self: self._ask("goto"),
        "/": lambda self: self._ask("filter"),
        "tab": _turn,
        "q": _leave,
    }


def go_to(cursor: Cursor[Scene], said: str) -> None:
    """Jump to ``17``, the 17th event, or to ``seq:1234``, a place in the log. Raises :class:`InvalidInput`."""
    by_sequence, text = said.startswith("seq:"), said.removeprefix("seq:")
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"{said!r} is no event", hint="write its number, or seq: and its sequence in the log")
    number = int(text)
    if by_sequence:
        cursor.jump_to_sequence(number)
    else:
        cursor.jump(number)


def choice_of(typed: str, asked: Choice, day: datetime | None = None) -> Choice:
    """What is typed as a filter: ``type:task.* task:fix-* agent:tester worker:w-1 error``, other words are sought.

    ``since:`` and ``until:`` take a time of day of this machine, an ISO time, or how long ago. Nothing typed is the
    choice that was asked for at first. Raises :class:`InvalidInput` for what is no time.
    """
    if not typed:
        return asked
    named: dict[str, tuple[str, ...]] = {"type": (), "task": (), "agent": (), "worker": ()}
    times: dict[str, datetime | None] = {"since": asked.since, "until": asked.until}
    words: list[str] = []
    errors = False
    for word in typed.split():
        name, colon, pattern = word.partition(":")
        if word == "error":
            errors = True
        elif colon and name in times and pattern:
            times[name] = moment_said(pattern, day)
        elif colon and name in named:
            named[name] += (pattern,)
        else:
            words.append(word)
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


def moment_said(said: str, day: datetime | None) -> datetime:
    """A time of day on the day of the film, or anything that ``--since`` takes. Raises :class:`InvalidInput`."""
    if _CLOCK.fullmatch(said):
        try:
            of_day = time.fromisoformat(said)
        except ValueError:
            raise InvalidInput(f"{said!r} is no time of day", hint="write 12:30 or 12:30:15.250") from None
        return datetime.combine((day or datetime.now(UTC)).astimezone().date(), of_day).astimezone(UTC)
    return instant(said)
