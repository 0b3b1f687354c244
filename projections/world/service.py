"""Questions about the world over NATS, for processes that have no Redis: ``ask.<tenant>.world.query``.

The question is a JSON object, :class:`~projections.world.remote.Asked`. The answer is JSON,
``{"position": …, "value": …}`` with the names of fields, or, with ``"form": "msgpack"``, what our own processes decode.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from msgspec.structs import replace

from events.services import PART_BYTES
from projections.world.codec import plain
from projections.world.reader import WorldReader
from projections.world.remote import Asked
from projections.world.scripts import Connection
from schemas.errors import InvalidInput

_MOST_READERS = 1000
_LONGEST_S = 60.0


class WorldService:
    """Answers from Redis; each tenant asks for its own world."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self._readers: dict[str, WorldReader] = {}

    async def answer(self, tenant: str, question: bytes) -> AsyncIterator[bytes]:
        """As :data:`events.services.Answer`. Raises :class:`InvalidInput` for no query, and what a reader raises."""
        asked = _asked(question)
        found = await self._reader(tenant).ask(replace(asked, timeout_s=min(asked.timeout_s, _LONGEST_S)))
        whole = msgspec.msgpack.encode(found) if asked.form == "msgpack" else msgspec.json.encode(plain(found))
        for start in range(0, len(whole), PART_BYTES):
            yield whole[start : start + PART_BYTES]

    def _reader(self, tenant: str) -> WorldReader:
        if len(self._readers) >= _MOST_READERS:
            self._readers.clear()  # they hold nothing but the number of a generation
        return self._readers.setdefault(tenant, WorldReader(self._redis, tenant))


def _asked(question: bytes) -> Asked:
    try:
        return msgspec.json.decode(question, type=Asked)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(
            f"not a question about the world: {error}", hint='for instance {"about": "tasks", "mission": "…"}'
        ) from error
