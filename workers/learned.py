"""Skills that agents learned earlier, somewhere, and that were to be kept: read from the log by who joins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent
from schemas.events import parse
from schemas.events.worker import WorkerLearned
from workers.registry import Registry

_log = logging.getLogger(__name__)
_SAY_AGAIN_S = 24 * 3600.0


class Kept:
    """The newest word on each skill of each agent; a log that forgets old events is reminded of it once a day."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], tuple[WorkerLearned, datetime]] = {}

    def take(self, event: Event) -> None:
        """Take in one more event of the log; what is not about learning changes nothing."""
        if event.type != WorkerLearned.TYPE:
            return
        try:
            payload = parse(event)
        except InvalidEvent as error:
            _log.warning("a learned skill of a release that knows more: %s", error)
            return
        if isinstance(payload, WorkerLearned) and payload.keep:
            self._newest[payload.card.agent, payload.card.id] = payload, moment_of(event)

    def by(self, registry: Registry) -> Iterator[WorkerLearned]:
        """What agents of this worker have learned, as far as nobody else here offers it."""
        offered = set(registry.skills)
        for agent, skill in sorted(self._newest):
            if agent in registry.agents and skill not in offered:
                yield self._newest[agent, skill][0]

    def is_old(self, said: WorkerLearned, now: float) -> bool:
        """Whether it should be said again. ``now``: POSIX seconds."""
        at = self._newest[said.card.agent, said.card.id][1]
        return now - at.timestamp() > _SAY_AGAIN_S
