"""The role ``world``: the one writer of the world model, or a standby that waits to become it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from msgspec import MsgspecError

from events.port import Batch, Log, Window
from events.services import Services
from projections.port import Progress
from projections.world.connecting import WorldUnavailable
from projections.world.gathering import gathered
from projections.world.keys import writer_lock
from projections.world.locks import Held, Locks
from projections.world.remote import SERVICE
from projections.world.scripts import Connection
from projections.world.service import WorldService
from projections.world.state import FORMAT
from projections.world.store import Applied, StoreMoved, StoreState, WorldStore
from projections.world.writing import WorldWriter
from schemas.envelope import Event
from schemas.errors import Conflict, InvalidInput, LogUnavailable, Refused, Unavailable

_log = logging.getLogger(__name__)
_BATCH = 1000
_LOOKED_AT = 50
_FLAW_S = 5.0
_LOG_PATIENCE_S = 60.0
Told = Callable[[Applied], None]


class WorldRole:
    """Follows the log into Redis. A :class:`~projections.port.Projection`.

    Redis may be away, late, emptied or restarted at any time: the role waits, looks where the store is, and folds what
    is missing; nobody waits for it. Several may run: one has the writer's lock, the others stand by. The lock only
    saves work: what keeps the store right is that a batch is refused unless it follows what is there.

    Args:
        keep_s: seconds for which an ended mission is kept.
        lock_s: after so long a standby takes the place of a writer that has died.
        retry_s: the pause after Redis failed.
        linger_s: how long an event waits for others that are written in the same call.
        services: where questions are answered meanwhile, by standbys as well.
        told: called after each batch of a tenant.
    """

    name = "world"

    def __init__(
        self,
        log: Log,
        redis: Connection,
        *,
        keep_s: float = 7 * 86_400.0,
        lock_s: float = 5.0,
        retry_s: float = 0.5,
        linger_s: float = 0.05,
        services: Services | None = None,
        told: Told = lambda _: None,
    ) -> None:
        self._stream = log
        self.store = WorldStore(redis, keep_s=keep_s)
        self._locks = Locks(redis, writer_lock()[0])
        self._lock_s = lock_s
        self._retry_s = retry_s
        self._linger_s = linger_s
        self._looked_at = 0
        self._damaged = False
        self._services = services
        self._answers = WorldService(redis)
        self._told = told
        self._turn = asyncio.Lock()
        self._writer: WorldWriter | None = None
        self._anew = asyncio.Event()

    async def position(self) -> int:
        """What all tenants have reached. Raises :class:`~projections.world.connecting.WorldUnavailable`."""
        return (await self.store.state()).position

    def hosted_by(self, host: str) -> None:
        """See :class:`projections.port.StandsBy`."""
        self._locks.owner = host

    async def leader(self) -> str:
        """The process that holds the writer's lock; empty if none does."""
        return await self._locks.holder(writer_lock()[1])

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Write for ever, or stand by. Raises only :class:`~schemas.errors.LogUnavailable`, if the log stays away."""
        if ready is not None:
            ready.set()  # not a word about Redis: nothing that starts beside this role may wait for it
        if self._services is not None:
            await self._services.serve(SERVICE, self._answers.answer)
        said, since = "", 0.0
        while True:
            try:
                async with self._leading() as held:
                    await self._begin(held)
                    said, since = "", 0.0
                    await self._lead(held)
            except (Conflict, WorldUnavailable, LogUnavailable) as error:
                since = since or time.monotonic()
                if isinstance(error, LogUnavailable) and time.monotonic() - since > _LOG_PATIENCE_S:
                    raise
                if error.message != said:
                    _log.warning("%s; looking again every %g s", error.message, self._retry_s)
                said = error.message
                await asyncio.sleep(self._retry_s)
            except MsgspecError:
                _log.exception("what is stored cannot be read: the world is folded anew")
                self._damaged = True
            except Exception:  # noqa: BLE001 - the roles beside this one must go on: missions do not need the model
                _log.exception("the world model cannot go on; trying again in %g s", _FLAW_S)
                await asyncio.sleep(_FLAW_S)

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        """See :meth:`projections.port.Projection.rebuild`.

        Raises:
            Refused: the log no longer begins at its beginning, or another process is the writer: ask that one.
            InvalidInput: ``to`` is beyond the end of the log.
        """
        if self._writer is not None:
            return await self._rebuild(self._writer.epoch, to, progress)
        async with self._leading(wait_s=2 * self._lock_s) as held:
            keeping = asyncio.create_task(self._keep(held))
            try:
                await self._begin(held)
                return await self._rebuild(held.token, to, progress)
            finally:
                self._writer = None
                await _end(keeping)

    # following

    @asynccontextmanager
    async def _leading(self, wait_s: float | None = None) -> AsyncIterator[Held]:
        """Hold the writer's lock for the block; waits for it for ever if ``wait_s`` is left out."""
        name = writer_lock()[1]
        while True:
            held = await self._locks.acquire(name, self._lock_s, wait_s=wait_s or self._lock_s)
            if held is not None:
                break
            if wait_s is not None:
                raise Refused("another process writes the world model", hint="ask it: stig projections rebuild world")
        try:
            yield held
        finally:
            with suppress(Unavailable):
                await self._locks.release(held)

    async def _lead(self, held: Held) -> None:
        try:
            await _first(self._follow(), self._keep(held))
        finally:
            self._writer = None

    async def _begin(self, held: Held) -> None:
        """Find out where the store is, and make one if there is none."""
        state = await self.store.state()
        foreign = state.position > await self._stream.last_sequence()  # of another log, or of this one's future
        if not state.generation or state.format != FORMAT or foreign or self._damaged:
            fresh = await self.store.new_generation()
            _log.info("the world is folded anew, as generation %d", fresh)
            record = {"generation": fresh, "position": 0, "held": 0, "format": FORMAT}
            await self.store.record(held.token, state.generation, record, anew=True)
            self._damaged = False
        else:
            await self.store.record(held.token, state.generation, {})  # from here on older writers are refused
        state = await self.store.state()
        for tenant in state.tenants:
            await self.store.point(tenant, state.generation)
        await self.store.sweep(state.generation)
        self._writer = await WorldWriter.resumed(self.store, self._stream, state, held.token)

    async def _follow(self) -> None:
        """Fold what comes; begins again where a rebuild has put the store."""
        while True:
            self._anew.clear()
            if (await self.store.state()).held:
                await self._anew.wait()
                continue
            assert self._writer is not None
            following = asyncio.ensure_future(self._follow_on(self._writer))
            anew = asyncio.ensure_future(self._anew.wait())
            try:
                await asyncio.wait({following, anew}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                await _end(following, anew)

    async def _follow_on(self, writer: WorldWriter) -> None:
        window = Window(first=writer.position + 1)
        coming = gathered(self._stream.follow(window, batch=_BATCH), linger_s=self._linger_s, most=_BATCH)
        async with aclosing(coming) as batches:  # type: ignore[type-var]
            async for batch in batches:
                async with self._turn:
                    if writer is not self._writer:
                        return
                    await self._take(writer, batch)

    async def _take(self, writer: WorldWriter, batch: Batch) -> None:
        known = set(writer.tenants)
        for done in await writer.take(batch):
            if done.tenant not in known:
                await self.store.point(done.tenant, writer.generation)
            self._told(done)

    async def _keep(self, held: Held) -> None:
        """Keep the lock, and look whether what was written is still there: Redis may be emptied while nothing comes."""
        while True:
            await asyncio.sleep(self._lock_s / 3)
            if not await self._locks.renew(held, self._lock_s):
                raise StoreMoved("the writer's lock is gone: Redis was emptied, or was away for too long")
            async with self._turn:
                await self._look()

    async def _look(self) -> None:
        """Some tenants in turn, so that many of them do not make it slow."""
        tenants = list(self._writer.tenants.values()) if self._writer is not None else []
        self._looked_at = self._looked_at % max(1, len(tenants))
        for tenant in tenants[self._looked_at : self._looked_at + _LOOKED_AT]:
            if await self.store.position_of(tenant.keys) != tenant.stored:
                raise StoreMoved(f"the world of {tenant.keys.tenant} is not where its writer left it")
        self._looked_at += _LOOKED_AT

    # rebuilding

    async def _rebuild(self, epoch: int, to: int | None, progress: Progress) -> int:
        await self._check_beginning()
        end = await self._stream.last_sequence()
        if to is not None and not 0 <= to <= end:
            raise InvalidInput(f"the log ends at {end}, so it cannot be folded up to {to}", hint="name a lower number")
        fresh = await self.store.new_generation()
        made = WorldWriter(self.store, self._stream, generation=fresh, epoch=epoch, position=0)
        # The generation that is in use keeps the record; this one's is written at the switch.
        made.recording = False
        try:
            await self._fold_to(made, to if to is not None else end, progress)
            async with self._turn:
                if to is None:
                    await self._fold_to(made, await self._stream.last_sequence(), progress)
                await self._switch(made, held=to is not None)
        finally:
            with suppress(Unavailable):  # what is left is removed at the next start
                await self.store.sweep((await self.store.state()).generation)
        return made.position

    async def _check_beginning(self) -> None:
        first = await anext(self._stream.read(Window()), None)
        if first is not None and first.sequence > 1 and await self._gone_before(first.sequence):
            raise Refused(
                f"the log begins at {first.sequence}: what was before it cannot be folded any more",
                hint="fill an empty log from the archive (stig archive restore), then rebuild there",
            )

    async def _gone_before(self, sequence: int) -> bool:
        """Whether messages before this one are gone, and not only unreadable."""
        buried = {letter.original_sequence async for letter in self._stream.dead_letters()}
        return not set(range(1, min(sequence, 1000))) <= buried

    async def _fold_to(self, writer: WorldWriter, end: int, progress: Progress) -> None:
        events: list[Event] = []
        window = Window(first=writer.position + 1, last=end)
        async for event in self._stream.read(window):
            if len(events) >= _BATCH and event.sequence != events[-1].sequence:
                await writer.take(Batch(tuple(events), events[-1].sequence))
                progress(writer.position, end)
                events = []
            events.append(event)
        if end > writer.position or events:
            await writer.take(Batch(tuple(events), end))
        progress(writer.position, end)

    async def _switch(self, made: WorldWriter, *, held: bool) -> None:
        """In one step for each tenant; the record is first, so that whoever comes after a crash points the rest."""
        old: StoreState = await self.store.state()
        positions = {f"t:{name}": tenant.stored or 0 for name, tenant in made.tenants.items()}
        record = {"generation": made.generation, "position": made.position, "held": int(held), "format": FORMAT}
        await self.store.record(made.epoch, old.generation, {**record, **positions}, anew=True)
        for tenant in sorted({*old.tenants, *made.tenants}):
            await self.store.point(tenant, made.generation)
        made.recording = True
        if self._writer is not None:
            self._writer = made
        self._anew.set()


async def _first(*work: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends or fails; the others are ended."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        await _end(*tasks)


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
