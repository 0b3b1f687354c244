"""Which events are wanted of those that are there."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from msgspec import Struct

from events.replay.about import About
from events.replay.slices import Slice
from schemas.envelope import Event


class Choice(Struct, frozen=True):
    """Events that fit everything that is set. Patterns are those of a shell: ``task.*``, ``fix-*``.

    Attributes:
        types: patterns; a noun alone stands for all its types.
        since, until: both inclusive; the event's own time.
        text: part of the event's data or type, in any case.
        errors: only what went wrong.
        within: only events of this slice of the log.
    """

    types: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    errors: bool = False
    within: Slice | None = None

    def wants(self, event: Event, about: About) -> bool:
        """Whether the event fits."""
        return (
            (not self.errors or about.error)
            and (self.within is None or self.within.holds(event))
            and _fits(event.type, [one if "." in one or "*" in one else f"{one}.*" for one in self.types])
            and _fits(about.task, self.tasks)
            and _fits(about.agent, self.agents)
            and _fits(about.worker, self.workers)
            and (self.since is None or about.moment >= self.since)
            and (self.until is None or about.moment <= self.until)
            and (not self.text or self._has_text(event))
        )

    def _has_text(self, event: Event) -> bool:
        sought = self.text.casefold()
        return sought in event.type.casefold() or sought in bytes(event.data).decode("utf-8", "replace").casefold()


def _fits(value: str, patterns: tuple[str, ...] | list[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
