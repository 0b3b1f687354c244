"""Events as they come, chosen by type, mission and time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from events.port import Window
from schemas.errors import InvalidInput
from schemas.subjects import noun_filter
from stigmergy.cli import screen
from stigmergy.cli.mission_events import line

if TYPE_CHECKING:
    from schemas.envelope import Event
    from stigmergy.client import Client

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_NOUN = re.compile(r"[A-Za-z0-9_:@~-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Patterns of types (none: all), and the instant to begin with (None: now)."""

    types: tuple[str, ...]
    since: datetime | None

    def filters(self, tenant: str, mission: str) -> tuple[str, ...]:
        """Subjects that hold what is wanted, and as little else as the server can tell apart."""
        nouns = {pattern.partition(".")[0] for pattern in self.types}
        if not nouns or not all(_NOUN.fullmatch(noun) for noun in nouns):
            return (f"events.{tenant}.{mission}.>",)
        return tuple(sorted(noun_filter(noun, tenant=tenant, mission=mission) for noun in nouns))

    def wants(self, event: Event) -> bool:
        return not self.types or any(fnmatchcase(event.type, pattern) for pattern in self.types)


def wanted(types: Sequence[str], since: str | None) -> Wanted:
    """What the options say. A noun alone stands for all its types. Raises :class:`InvalidInput`."""
    patterns = tuple(one if "." in one or one == "*" else f"{one}.*" for one in types)
    return Wanted(patterns, instant(since) if since is not None else None)


def instant(said: str) -> datetime:
    """``10m`` ago, or an ISO time; one without a zone is of this machine. Raises :class:`InvalidInput`."""
    if match := _AGO.fullmatch(said.strip()):
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: float(match[1])})
        except OverflowError:
            return datetime.fromtimestamp(0, UTC)
    try:
        return datetime.fromisoformat(said).astimezone(UTC)
    except ValueError:
        raise InvalidInput(f"{said!r} is no time", hint="write 90s, 10m, 2h, 3d, or 2026-01-31T12:00:00Z") from None


async def tail(choice: Wanted, mission: str | None, *, follow: bool, as_json: bool) -> None:
    """Print what is wanted; with ``follow`` for ever."""
    from stigmergy.cli.finding import find
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        of = (await find(client, mission)).id if mission is not None else "*"
        console = screen.out()
        async for event in _events(client, choice, of, follow=follow):
            if as_json:
                screen.print_event(event)
            else:
                console.print(line(event), soft_wrap=True)


async def _events(client: Client, choice: Wanted, mission: str, *, follow: bool) -> AsyncIterator[Event]:
    log = client.bus.log
    # Without a beginning, --follow shows what comes and --no-follow what there is.
    first = 1 if choice.since is not None or not follow else await log.last_sequence() + 1
    window = Window(choice.filters(client.settings.tenant, mission), first, since=choice.since)
    if not follow:
        async for event in log.read(window):
            if choice.wants(event):
                yield event
        return
    async for batch in log.follow(window):
        for event in batch.events:
            if choice.wants(event):
                yield event
