"""Questions about the world over NATS, for processes that have no Redis: ``ask.<tenant>.world.query``.

The question is a JSON object, a :class:`~projections.world.queries.Query`. The answer is JSON,
``{"position": …, "value": …}`` with the names of fields, or, with ``"form": "msgpack"``, what our own processes decode.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec.structs import replace

from events.services import PART_BYTES
from projections.world.codec import plain
from projections.world.queries import Query
from projections.world.reader import WorldReader
from projections.world.remote import MSGPACK
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
        form, query = _query(question)
        query = replace(query, timeout_s=min(query.timeout_s, _LONGEST_S))
        found = await self._reader(tenant).ask(query)
        whole = msgspec.msgpack.encode(found) if form == MSGPACK else msgspec.json.encode(plain(found))
        for start in range(0, len(whole), PART_BYTES):
            yield whole[start : start + PART_BYTES]

    def _reader(self, tenant: str) -> WorldReader:
        if len(self._readers) >= _MOST_READERS:
            self._readers.clear()  # they hold nothing but the number of a generation
        return self._readers.setdefault(tenant, WorldReader(self._redis, tenant))


def _query(question: bytes) -> tuple[str, Query]:
    try:
        asked = msgspec.json.decode(question, type=dict[str, Any])
        form = asked.pop("form", "json")
        return str(form), msgspec.convert(asked, Query)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(
            f"not a question about the world: {error}", hint='for instance {"about": "tasks", "mission": "…"}'
        ) from error
