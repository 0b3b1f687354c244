"""A read-through cache in the reader's process, emptied by what the writer tells.

The script that writes a batch also publishes what it changed, in the same step and on the same server. Every message
carries the position before and after it, so a reader sees a lost one: the next does not follow. A message lost at the
end is found by looking at the position once in ``stale_s``; while Redis cannot be looked at, nothing is answered from
the cache. So an answer is at most twice that old, and mostly some tenths of a millisecond.

Roads not taken: CLIENT TRACKING tells of keys, not of positions, and nothing of a lost message but the lost
connection; redis-py has it for its synchronous client only. Core NATS would tell before, or long after, the write it
speaks of, and needs a grant for a role that otherwise only answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from projections.world.connecting import WorldUnavailable
from projections.world.queries import Answer, Query
from projections.world.reader import WorldReader
from projections.world.scripts import Connection
from schemas.errors import InvalidInput

_log = logging.getLogger(__name__)
_MOST = 10_000
_AGENTS = "@agents"
_UNCACHED = ("position", "summary")
_GRACE_S = 0.05


class CachedWorld:
    """Answers from memory what was asked before and has not changed. For
    :class:`~projections.world.queries.WorldView`; an asynchronous context manager.

    Args:
        stale_s: how old an answer may be if a message was lost.
        most: answers that are kept.

    Attributes:
        hits, misses: how often it knew.
    """

    def __init__(self, redis: Connection, tenant: str, *, stale_s: float = 1.0, most: int = _MOST) -> None:
        if isinstance(redis, RedisCluster):
            raise InvalidInput("the cache follows one Redis, not a cluster", hint="ask without it")
        self._redis = redis
        self._reader = WorldReader(redis, tenant)
        self._stale_s = stale_s
        self._most = most
        self._known: OrderedDict[Query, Answer[Any]] = OrderedDict()
        self._by_mission: dict[str, set[Query]] = {}
        self._generation = 0
        self._position = -1  # nothing is kept: it is not known where the model is
        self._missed = 0
        self._following: asyncio.Task[None] | None = None
        self.hits = 0
        self.misses = 0

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        self._forget()

    async def ask(self, query: Query) -> Answer[Any]:
        """See :meth:`projections.world.reader.WorldReader.ask`."""
        if query.about in _UNCACHED or query.at_least > self._position:
            return await self._reader.ask(query)
        bare = replace(query, at_least=0) if query.at_least else query
        found = self._known.get(bare)
        if found is not None:
            self.hits += 1
            self._known.move_to_end(bare)
            return Answer(self._position, found.value)
        self.misses += 1
        answer = await self._reader.ask(query)
        # What was read before the newest message may be older than it says: it is not kept.
        current = self._reader.keys.generation == self._generation
        if current and 0 <= self._position <= answer.position:
            self._keep(bare, answer)
        return answer

    # keeping

    def _keep(self, query: Query, answer: Answer[Any]) -> None:
        self._known[query] = answer
        self._by_mission.setdefault(_part(query), set()).add(query)
        if len(self._known) > self._most:
            oldest, _ = self._known.popitem(last=False)
            self._by_mission[_part(oldest)].discard(oldest)

    def _drop(self, part: str) -> None:
        for query in self._by_mission.pop(part, ()):
            self._known.pop(query, None)

    def _forget(self) -> None:
        self._known.clear()
        self._by_mission.clear()
        self._position = -1

    # following

    async def _follow(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=False) as told:
                    await told.subscribe(self._reader.keys.channel)
                    await self._listen(told)
            except (RedisError, OSError, TimeoutError, WorldUnavailable) as error:
                self._forget()
                _log.info("the cache of the world is empty: %s", error)
                await asyncio.sleep(_GRACE_S)

    async def _listen(self, told: Any) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + self._stale_s
        while True:
            message = await told.get_message(timeout=max(0.0, min(look_at - loop.time(), self._stale_s)))
            if message is not None and message["type"] == "message":
                self._hear(message["data"].decode().split(" "))
            elif message is not None and message["type"] == "subscribe":
                await self._look()
            if loop.time() >= look_at:
                look_at = loop.time() + (self._stale_s if await self._look() else _GRACE_S)

    def _hear(self, words: list[str]) -> None:
        generation, before, after = (int(word) for word in words[:3])
        if generation != self._generation:
            return  # one that is being made beside the one in use; after the switch, looking tells
        if 0 <= before < after <= self._position:
            return  # published before the model was looked at
        if before != self._position or "*" in words[3:]:
            self._forget()
        for part in words[3:]:
            self._drop(part)
            self._drop(_AGENTS if part == _AGENTS else "")
        self._position = after

    async def _look(self) -> bool:
        """Compare with where the model is. False if a message seems to be on its way: look again in a moment."""
        async with asyncio.timeout(self._stale_s):
            position, _ = await self._reader.read(lambda _: ())
        generation = self._reader.keys.generation
        same = generation == self._generation
        if same and position == self._position:
            self._missed = 0
            return True
        if same and position > self._position >= 0 and not self._missed:
            self._missed = position
            return False
        if same and self._position >= self._missed > 0:
            self._missed = 0
            return True  # it has come
        self._forget()
        self._generation, self._position, self._missed = generation, position, 0
        return True


def _part(query: Query) -> str:
    """What a message has to name so that the answer is dropped: a mission, the workers, or any mission."""
    if query.about == "agents":
        return _AGENTS
    if query.about == "missions":
        return query.names[0] if len(query.names) == 1 else ""
    return query.mission
