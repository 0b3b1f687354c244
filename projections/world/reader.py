"""Answers to queries, from Redis. Each is read by one script call, so that it is as of one event."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from projections.world import keys as names
from projections.world.codec import decode
from projections.world.connecting import WorldUnavailable, explained
from projections.world.keys import Keys
from projections.world.queries import HEAD, Answer, FileView, Query, Summary
from projections.world.scripts import READ, Connection, run
from projections.world.state import Claim, FileState, MissionState, Tree, lineage
from projections.world.workspaces import claims_on
from schemas.errors import InvalidInput, TimedOut
from schemas.ids import token

_FIRST_LOOK_S = 0.002
_LAST_LOOK_S = 0.05
_PORTION = 1000
Read = tuple[str, str, tuple[str | int, ...]]
"""Command, key, arguments."""


class WorldReader:
    """Reads one tenant's world. Its generation is remembered, and compared by every read."""

    def __init__(self, redis: Connection, tenant: str) -> None:
        self._redis = redis
        self._client: Any = redis
        self._keys = Keys(token(tenant, "tenant"), 0)

    @property
    def keys(self) -> Keys:
        """The keys of the generation that was read last; generation 0 before the first."""
        return self._keys

    async def ask(self, query: Query) -> Answer[Any]:
        """Answer a query.

        Raises:
            InvalidInput: it lacks a mission.
            TimedOut: the model did not reach ``at_least`` in time.
            WorldUnavailable: Redis does not answer, or holds no world.
        """
        reached = await self.reach(query.at_least, query.timeout_s) if query.at_least else 0
        if query.about in ("tasks", "files", "trees", "tests") and not query.mission:
            raise InvalidInput(f"{query.about} belong to a mission", hint="name one")
        answer: Answer[Any] = await _ANSWERS[query.about](self, query)
        return Answer(max(answer.position, reached), answer.value)

    async def reach(self, sequence: int, timeout_s: float) -> int:
        """Wait until everything up to ``sequence`` is in the model; returns how far it is.

        Redis is asked again and again: a subscription would not tell of events that change nothing for this tenant.
        """
        deadline, pause, found = time.monotonic() + timeout_s, _FIRST_LOOK_S, 0
        while True:
            try:
                found = await self.position()
            except WorldUnavailable:
                if time.monotonic() >= deadline:
                    raise
            if found >= sequence:
                return found
            if time.monotonic() >= deadline:
                raise TimedOut(
                    f"the world model is at {found} and did not reach {sequence} within {timeout_s:g} s",
                    hint="does `stig serve world` run? is there such an event?",
                )
            await asyncio.sleep(pause)
            pause = min(_LAST_LOOK_S, pause * 2)

    async def position(self) -> int:
        """How far the model is for this tenant: at least as far as for all."""
        with explained("read the world"):
            low = int(await self._client.hget(names.STATE, "position") or 0)
        return max(low, (await self.read(lambda _: ()))[0])

    async def read(self, reads: Callable[[Keys], Sequence[Read]]) -> tuple[int, list[Any]]:
        """Several reads as of one moment: the position, and their replies."""
        while True:
            if not self._keys.generation and not await self._find():
                return await self._nothing(reads(self._keys))
            keys, wanted = self._keys, reads(self._keys)
            arguments = [part for command, _, given in wanted for part in (command, len(given), *given)]
            named = (keys.pointer, keys.meta, *(key for _, key, _ in wanted))
            with explained("read the world"):
                found = await run(self._redis, READ, named, (keys.generation, *arguments))
            if len(found) > 1:
                return int(found[1] or 0), found[2:]
            self._keys = Keys(keys.tenant, int(found[0] or 0))  # another generation has taken its place

    async def _find(self) -> bool:
        with explained("read the world"):
            pointer = await self._client.get(self._keys.pointer)
        if pointer is not None:
            self._keys = Keys(self._keys.tenant, int(pointer))
        return pointer is not None

    async def _nothing(self, reads: Sequence[Read]) -> tuple[int, list[Any]]:
        """A tenant of which nothing is there: nothing ever happened, or the model is just being folded."""
        with explained("read the world"):
            record = await self._client.hmget(names.STATE, "position", f"t:{self._keys.tenant}")
        if record[0] is None or record[1] is not None:
            raise WorldUnavailable(
                "the world model is empty", hint="`stig serve world` folds it from the log; ask again in a moment"
            )
        return int(record[0]), [[] if command.startswith(("H", "Z")) else None for command, _, _ in reads]

    # the answers

    async def _position(self, query: Query) -> Answer[None]:
        return Answer(await self.position(), None)

    async def _missions(self, query: Query) -> Answer[tuple[MissionState, ...]]:
        wanted = query.names or await self._open_and_kept()
        position, raw = await self.read(lambda keys: [("GET", keys.mission(name), ()) for name in wanted])
        found = [decode("mission", one) for one in raw if one is not None]
        if query.status:
            found = [mission for mission in found if mission.status == query.status]
        if not query.names:
            found.sort(key=lambda mission: (mission.submitted_at, mission.id), reverse=True)
        return Answer(position, tuple(found[: query.limit]))

    async def _open_and_kept(self) -> tuple[str, ...]:
        now = round(time.time() * 1000)
        _, [raw] = await self.read(lambda keys: [("ZRANGEBYSCORE", keys.missions, (now, "+inf"))])
        return tuple(name.decode() for name in raw)

    async def _parts(self, query: Query) -> Answer[tuple[Any, ...]]:
        def reads(keys: Keys) -> list[Read]:
            return _wanted(keys.part(query.about, query.mission) if query.mission else keys.agents, query.names)

        position, raw = await self.read(reads)
        found = [decode(query.about, one) for one in chain.from_iterable(raw) if one is not None]
        if query.prefix or query.status:
            found = [part for part in found if _fits(part, query)]
        if not query.names:
            found.sort(key=_order)
        return Answer(position, tuple(found[: query.limit]))

    async def _files(self, query: Query) -> Answer[tuple[FileView, ...]]:
        def reads(keys: Keys) -> list[Read]:
            mission = query.mission
            files = _wanted(keys.part("files", mission), query.names)
            ways: list[Read] = [("GET", keys.mission(mission), ()), ("HVALS", keys.part("trees", mission), ())]
            return [("HVALS", keys.part("claims", mission), ()), *(ways if query.tree else ()), *files]

        position, [claims, *rest] = await self.read(reads)
        way = _way(query.tree, *rest[:2]) if query.tree else None
        open_claims: list[Claim] = [decode("claims", one) for one in claims]
        views = []
        for raw in chain.from_iterable(rest[2:] if query.tree else rest):
            file: FileState | None = None if raw is None else decode("files", raw)
            if file is not None and file.path.startswith(query.prefix):
                views += _view(file, way, open_claims)
        if not query.names:
            views.sort(key=lambda view: view.path)
        return Answer(position, tuple(views[: query.limit]))

    async def _summary(self, query: Query) -> Answer[Summary]:
        missions = await self._missions(Query("missions", limit=1_000_000))
        position, [agents, unreadable] = await self.read(
            lambda keys: [("HVALS", keys.agents, ()), ("HGET", keys.meta, ("unreadable",))]
        )
        tasks: Counter[str] = Counter()
        spent: dict[str, float] = {}
        for mission in missions.value:
            if not mission.ended:
                tasks.update(mission.tasks)
            for unit, number in mission.budget.spent.items():
                spent[unit] = spent.get(unit, 0.0) + number
        return Answer(
            min(position, missions.position),
            Summary(
                missions=dict(Counter(mission.status for mission in missions.value)),
                agents=dict(Counter(decode("agents", raw).status.value for raw in agents)),
                tasks=dict(tasks),
                spent=spent,
                generation=self._keys.generation,
                unreadable=int(unreadable or 0),
            ),
        )


_ANSWERS: dict[str, Any] = {
    "position": WorldReader._position,
    "summary": WorldReader._summary,
    "missions": WorldReader._missions,
    "files": WorldReader._files,
    **dict.fromkeys(("tasks", "trees", "tests", "agents"), WorldReader._parts),
}


def _wanted(key: str, wanted: tuple[str, ...]) -> list[Read]:
    """Values of a hash: all, or these, in portions that Lua can pass on."""
    if not wanted:
        return [("HVALS", key, ())]
    return [("HMGET", key, wanted[start : start + _PORTION]) for start in range(0, len(wanted), _PORTION)]


def _fits(part: Any, query: Query) -> bool:
    if query.prefix and not str(getattr(part, "id", "") or getattr(part, "worker", "")).startswith(query.prefix):
        return False
    if not query.status:
        return True
    if query.about == "tests":
        return bool(part.flaky) if query.status == "flaky" else part.outcome == query.status
    return bool(getattr(part, "status", "") == query.status)


def _order(part: msgspec.Struct) -> Any:
    return (part.sequence, part.id) if isinstance(part, Tree) else (0, getattr(part, "id", "") or part.worker)  # type: ignore[attr-defined]


def _way(tree: str, state: bytes | None, trees: Iterable[bytes]) -> tuple[str, ...]:
    """The lineage of a tree."""
    if tree == HEAD:
        tree = decode("mission", state).head if state is not None else ""
    return lineage({made.id: made for made in (decode("trees", raw) for raw in trees)}, tree)


def _view(file: FileState, way: tuple[str, ...] | None, claims: Sequence[Claim]) -> list[FileView]:
    write = file.within(way) if way is not None else file.writes[0]
    if write is None or (way is not None and write.change == "deleted"):
        return []
    return [
        FileView(
            path=file.path,
            tree=write.tree,
            change=write.change,
            content=write.content,
            task=write.task,
            attempt=write.attempt,
            worker=write.worker,
            at=write.at,
            sequence=write.sequence,
            claimed_by=tuple(claim.task for claim in claims_on(file.path, claims)),
            writes=len(file.writes),
        )
    ]
