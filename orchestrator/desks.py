"""Missions at hand: each folded from the log, kept fresh by following it, and moved on when something follows.

The shell around a pure heart, shared by the orchestrator and the task-queue manager: read, fold, decide, append.
State is only ever what has been read back from the log, never what was meant to be written; so it is always exactly a
fold of a prefix of the log. Several replicas may run: each follows the whole log, but decodes, folds and decides only
what is within its reach. Whoever decides beyond that, for a moment or for a command, does no harm: the guard lets one
win, and the others read what the winner wrote.

Road not taken: a durable consumer shared by the replicas would split one mission's events among them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from events.port import Batch, Log, Wants, Window, everything
from events.sharing import SharedLog, attend
from orchestrator import parsing
from orchestrator.core.facts import Fact
from orchestrator.desk import Desk, Everything, News, Reach, Rules, newest_of
from orchestrator.recording import Clock, Recorder, filters_for
from schemas.envelope import Event
from schemas.errors import Conflict, InvalidEvent, LogUnavailable, StigmergyError
from schemas.events import Payload
from schemas.events.mission import BEGINNINGS, ENDS, is_open
from schemas.subjects import guard_filter

__all__ = ["Desk", "Desks", "Rules"]
_log = logging.getLogger(__name__)
_LOADED_AT_ONCE = 50
_KEPT_ENDED = 200
_CATCH_UP_S = 5.0
_FINISH_S = 3.0


class Desks[S]:
    """The missions that one replica of a role works on.

    Args:
        reach: which; all if it is left out.
    """

    def __init__(self, log: Log, rules: Rules[S], recorder: Recorder, clock: Clock, reach: Reach | None = None) -> None:
        self._log_port = log
        self._rules = rules
        self._recorder = recorder
        self._clock = clock
        self._parse = parsing.shared.fact if isinstance(log, SharedLog) else Fact.of
        self._reach = reach or Everything()
        self._wants: Wants = everything if reach is None else self._wanted
        self._guests: Counter[tuple[str, str]] = Counter()
        self._looked_at = self._position = 0
        self._begun = False
        self._desks: dict[tuple[str, str], Desk[S]] = {}
        self._moved = News()
        self._timed = asyncio.Event()
        self._late: deque[Batch] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    # reading

    async def begin(self) -> None:
        """Remember where following has to begin."""
        if not self._begun:
            self._position, self._begun = await self._log_port.last_sequence(), True

    async def load_open(self, among: Callable[[str, str], bool] = lambda _tenant, _mission: True) -> None:
        """Fold every open mission from the log that is not at hand, of those within reach that are ``among``."""
        await self.begin()
        counts = await self._log_port.missions((*BEGINNINGS, *ENDS))
        still_open = [
            key for key, types in sorted(counts.items()) if key not in self._desks and among(*key) and is_open(types)
        ]
        for start in range(0, len(still_open), _LOADED_AT_ONCE):
            await self._load(still_open[start : start + _LOADED_AT_ONCE])

    async def _load(self, missions: Sequence[tuple[str, str]]) -> None:
        """Fold missions that are not at hand. What is appended meanwhile is read in a further round."""
        desks = {key: Desk(*key, self._rules.fresh(*key)) for key in missions}
        filters = tuple(f for t, m in missions for f in filters_for(self._rules.subjects, tenant=t, mission=m))
        first = 1
        while True:
            # What was looked at and not wanted, because nobody wanted this mission then, will not come again.
            upto = max(self._position, self._looked_at)
            async for event in self._log_port.read(Window(filters, first, upto)):
                desk = desks[event.tenant, event.mission]
                # The stream may have dropped the beginning of a mission that has ended: half of it is no mission.
                if desk.first or event.type == "mission.submitted":
                    self._fold_into(desk, event)
            # Nothing is awaited from here on: what comes after this is wanted, and the desks are level with the rest.
            if upto == max(self._position, self._looked_at):
                break
            first = upto + 1
        self._timed.set()
        for key, desk in desks.items():
            if self._desks.setdefault(key, desk) is desk:
                self._rules.taken_up(desk.state)

    async def follow(self) -> None:
        """Fold what is appended, for ever, and move every mission on that it touches."""
        self._failed = asyncio.get_running_loop().create_future()
        for desk in list(self._desks.values()):
            self.touch(desk)
        timers = asyncio.create_task(self._watch_timers())
        window = Window(filters_for(self._rules.subjects), first=self._position + 1)
        pressing = filters_for(self._rules.decides_on)
        reading = asyncio.create_task(attend(self._log_port, window, self._hear, self._wants, pressing))
        try:
            await asyncio.wait({timers, reading, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            for done in (timers, reading, self._failed):
                if done.done():
                    done.result()
        finally:
            for task in (timers, reading, *self._tasks):
                task.cancel()
            await asyncio.gather(timers, reading, *self._tasks, return_exceptions=True)

    def _hear(self, batch: Batch) -> None:
        """Take in what was read; later, if something has to be read before."""
        if not self._late and all(event.type != "mission.reopened" for event in batch.events):
            self._take_in(batch)
        else:
            self._late.append(batch)
            if len(self._late) == 1:
                self._spawn(self._take_in_late())

    async def _take_in_late(self) -> None:
        while self._late:
            for event in self._late[0].events:
                if event.type == "mission.reopened":
                    await self.at(event.tenant, event.mission)
            self._take_in(self._late[0])
            self._late.popleft()

    def _wanted(self, subject: str, sequence: int) -> bool:
        self._looked_at = max(self._looked_at, sequence)
        _, tenant, mission, _ = subject.split(".", 3)
        return self._reach.reads(tenant, mission) or (tenant, mission) in self._guests

    def _take_in(self, batch: Batch) -> None:
        """Nothing is awaited here: who loads a mission meanwhile must see all of the batch, or nothing of it."""
        touched: dict[tuple[str, str], Desk[S]] = {}
        for event in batch.events:
            if (desk := self._fold(event)) is not None:
                touched[event.tenant, event.mission] = desk
        self._position = max(self._position, batch.last)
        self._moved.tell()
        for desk in touched.values():
            self.touch(desk)
            if self._rules.timer(desk.state) is not None:
                self._timed.set()
        self._forget_ended()

    def _fold(self, event: Event) -> Desk[S] | None:
        key = (event.tenant, event.mission)
        desk = self._desks.get(key)
        if desk is None:
            if event.type != "mission.submitted" or not self._reach.reads(*key):
                return None  # a late word about a mission that has ended, or was visited
            desk = self._desks[key] = Desk(*key, self._rules.fresh(*key))
        before = desk.state
        # Who loaded it for a command may have been ahead of the reader: it is not new then, but still to be moved on.
        if (fact := self._fold_into(desk, event)) is not None:
            self._rules.read(before, fact)
        return desk

    def _fold_into(self, desk: Desk[S], event: Event) -> Fact | None:
        if (event.sequence, event.index) <= desk.place:
            return None
        try:
            fact = self._parse(event)
        except InvalidEvent as error:
            # Kept on the log and visible there; a mission must not stand still because of somebody's nonsense.
            _log.warning("passed over: %s", error)
            desk.passed_over[event.type.partition(".")[0]] = event.sequence
            desk.place = (event.sequence, event.index)
            return None
        desk.state = self._rules.evolve(desk.state, fact)
        desk.place = (event.sequence, event.index)
        desk.cause = event.id
        if event.type == "mission.submitted":
            desk.first = desk.first or event.sequence
            desk.correlation, desk.traceparent = event.correlationid, event.traceparent
        return fact

    async def at(self, tenant: str, mission: str) -> Desk[S]:
        """The desk of a mission, folded from the log if it is not at hand."""
        key = (tenant, mission)
        desk = self._desks.get(key)
        if desk is not None and desk.first and self._rules.ended(desk.state):
            oldest, _ = await self._log_port.oldest()
            # Dropped from the stream since: a decision could be written, and not be read again after a restart. A desk
            # that has read nothing yet stays: another command may be at it, and would wait for news at a desk put away.
            if oldest > desk.first and self._desks.get(key) is desk:
                del self._desks[key]
        if key not in self._desks:
            await self._load([key])
        return self._desks[key]

    @asynccontextmanager
    async def visiting(self, tenant: str, mission: str) -> AsyncIterator[Desk[S]]:
        """The desk of a mission that need not be within reach, for the block: for a command that has come here."""
        key = (tenant, mission)
        self._guests[key] += 1
        try:
            yield await self.at(tenant, mission)
        finally:
            self._guests[key] -= 1
            if not self._guests[key]:
                del self._guests[key]
                if not self._reach.reads(*key):
                    self._put_away(key)

    async def finish(self, parting: Callable[[str, str], bool]) -> None:
        """Wait until what is just being decided in these missions is on the log."""
        try:
            async with asyncio.timeout(_FINISH_S):
                for key, desk in list(self._desks.items()):
                    if parting(*key):
                        async with desk.lock:  # whoever comes after this does not lead
                            pass
        except TimeoutError:
            _log.warning("a decision does not end; whoever leads the mission now takes it as well, and one will win")

    def put_away(self, parting: Callable[[str, str], bool]) -> None:
        """Forget these missions, at the moment from which their messages are not wanted any more.

        Those that a command visits just now stay, and are wanted for as long.
        """
        for key in list(self._desks):
            if parting(*key) and key not in self._guests:
                self._put_away(key)

    def _put_away(self, key: tuple[str, str]) -> None:
        if (desk := self._desks.pop(key, None)) is not None:
            self._rules.put_down(desk.state)

    def all(self) -> list[Desk[S]]:
        """Every mission at hand."""
        return list(self._desks.values())

    def _forget_ended(self) -> None:
        if len(self._desks) <= _KEPT_ENDED:
            return
        ended = [
            key
            for key, desk in self._desks.items()
            if self._rules.ended(desk.state) and not desk.busy and not desk.lock.locked()
        ]
        for key in ended[: max(0, len(self._desks) - _KEPT_ENDED)]:
            del self._desks[key]

    # deciding

    def touch(self, desk: Desk[S]) -> None:
        """Look whether something follows from the state of a mission, if it is for this replica to decide."""
        if self._rules.idle(desk.state) or not self._reach.leads(desk.tenant, desk.mission):
            return
        desk.again = True
        if not desk.busy:
            desk.busy = True
            self._spawn(self._move_on(desk))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # At once, as far as it goes: a decision is on its way before anything else is looked at.
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
        self._tasks.add(task)
        task.add_done_callback(self._settle)

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def catch_up(self, desk: Desk[S], noun: str) -> None:
        """Wait until all events of a noun that the log has of the mission at this moment were read.

        Raises:
            LogUnavailable: they do not come.
        """
        newest = await self._log_port.newest(guard_filter(desk.tenant, desk.mission, noun))
        try:
            async with asyncio.timeout(_CATCH_UP_S):
                while self._position < newest:
                    await self._moved.wait()
        except TimeoutError:
            raise LogUnavailable(
                f"message {newest} of mission {desk.mission!r} is on the log and does not come"
            ) from None

    async def settle(self, desk: Desk[S]) -> None:
        """Move a mission on until nothing follows from its state."""
        async with desk.lock:  # held all the time: a desk that nobody holds may be put away
            while payloads := self._rules.advance(desk.state, self._clock()):
                await self.record(desk, payloads, cause=desk.cause)

    async def decide(self, desk: Desk[S], decision: Callable[[S], list[Payload]]) -> None:
        """Take a decision that nothing on the log prompted, for instance because time has passed."""
        async with desk.lock:
            if self._reach.leads(desk.tenant, desk.mission) and (payloads := decision(desk.state)):
                await self.record(desk, payloads, cause=desk.cause)
        self.touch(desk)

    async def _move_on(self, desk: Desk[S]) -> None:
        try:
            while desk.again:
                desk.again = False
                async with desk.lock:
                    if not self._reach.leads(desk.tenant, desk.mission):
                        break
                    if self._rules.idle(desk.state):
                        continue
                    if payloads := self._rules.advance(desk.state, self._clock()):
                        await self.record(desk, payloads, cause=desk.cause)
                        desk.again = True
        except StigmergyError as error:
            # Nothing that this mission could write is taken by the log. The others must not stand still with it.
            _log.error("mission %s cannot be moved on: %s (%s)", desk.mission, error, error.hint)
        finally:
            desk.busy = False

    async def record(self, desk: Desk[S], payloads: Sequence[Payload], *, cause: str) -> bool:
        """Append a decision and wait until it has been read back. The caller holds the desk's lock.

        Returns False if another replica decided first; what it wrote has then been read.
        """
        before = desk.place
        try:
            last = await self._recorder.record(
                desk.tenant,
                desk.mission,
                payloads,
                cause=cause,
                correlation=desk.correlation,
                seen=newest_of(self._rules.seen(desk.state), desk.passed_over),
                traceparent=desk.traceparent,
                written=lambda facts: self._rules.recorded(desk.state, facts),
            )
        except Conflict:
            await self._something_new(desk, before, payloads)
            return False
        except StigmergyError as error:
            if not error.retryable:
                raise
            _log.warning("mission %s waits for the log: %s", desk.mission, error)
            await asyncio.sleep(1.0)
            return False
        while self._position < last:
            await self._moved.wait()
        return True

    async def _something_new(self, desk: Desk[Any], before: tuple[int, int], payloads: Sequence[Payload]) -> None:
        """Wait until a message of the mission was read that the decision did not know; often it has been already."""
        try:
            if desk.place == before and await self._pass_over_unreadable(desk, payloads):
                return
            async with asyncio.timeout(1.0):
                while desk.place == before:
                    await self._moved.wait()
        except TimeoutError:
            return
        except LogUnavailable as error:
            _log.warning("mission %s waits for the log: %s", desk.mission, error)

    async def _pass_over_unreadable(self, desk: Desk[Any], payloads: Sequence[Payload]) -> bool:
        """Whether all there is was read: then bytes that are no event stand between, and the guard counts them."""
        newest: dict[str, int] = {}
        for noun in {payload.TYPE.partition(".")[0] for payload in payloads}:
            newest[noun] = await self._log_port.newest(guard_filter(desk.tenant, desk.mission, noun))
        read = max(newest.values(), default=0) <= self._position
        if read:
            desk.passed_over.update(newest)
        return read

    async def _watch_timers(self) -> None:
        while True:
            now = self._clock()
            pause = 1.0
            for desk in self._desks.values():
                if (moment := self._rules.timer(desk.state)) is None:
                    continue
                if moment <= now:
                    self.touch(desk)
                else:
                    pause = min(pause, (moment - now).total_seconds())
            self._timed.clear()
            try:
                async with asyncio.timeout(max(pause, 0.005)):
                    await self._timed.wait()
                await asyncio.sleep(0.02)  # a busy log must not make this a busy loop
            except TimeoutError:
                continue
