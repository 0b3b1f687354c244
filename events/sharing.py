"""One reader for all who follow the log in one process, and one's own word heard at its acknowledgement.

Roles that share a process follow nearly the same subjects: with a reader each, every message is delivered, decoded and
woken up for as often as there are roles. Here it is once.

And what this process appends itself comes back a hop later, although the acknowledgement has said already where it
stands. If nothing is unknown between what was read and that place, it *is* what will be read next, so it is handed to
the followers at once; the reader passes over it when it comes. If anything lies between, of whomever, the reader's
order decides, as without this: no follower ever sees events in another order than the log's, or with a gap.

Who attends is handed messages in the task that knows them, instead of being woken up for each: with five messages a
step of a chain and two roles, that was a tenth of the step. Who decides upon a message gets it at once, and what it has
decided is on its way before anybody else takes the message in.

Roads not taken: to fold one's own events where they were decided saves as much, but each role would have to know what
the others write, and in which order. A consumer for each noun would let more be passed over, at the cost of one more
delivery for each message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from itertools import combinations

import msgspec

from events.appending import append_framed
from events.blobs.port import BlobStore
from events.codec import check_out, decode, subject_of
from events.followers import Attending, Choice, Follower
from events.port import (
    Ack,
    Batch,
    DeadLetter,
    Delivery,
    Guard,
    Log,
    Stored,
    Subscription,
    Wants,
    Window,
    Write,
    everything,
)
from schemas.envelope import Event
from schemas.errors import InvalidInput, StigmergyError

_BATCH = 500


class SharedLog:
    """A :class:`~events.port.Log` whose followers share one reader of the log behind it.

    Args:
        log: where everything goes and comes from.
        filters: what the shared reader reads. Who follows something that they do not cover gets a reader of its own.
            Filters that others cover are left out.
        send: writes what waits to be sent. Called when what presses was handed over, for somebody waits for what was
            decided upon it; the next turn of the loop would do as well, a fortieth of a chain's step later.

    Raises:
        InvalidInput: two filters overlap, and neither covers the other.
    """

    def __init__(self, log: Log, filters: Sequence[str], send: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._send = send
        self.blobs: BlobStore = log.blobs
        self._filters = _widest(filters)
        self._reached = Choice(self._filters)
        self._position = 0
        self._followers: list[Follower] = []
        self._pump: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._joined = self._behind = False

    # writing

    async def write(self, writes: Sequence[Write]) -> list[Ack | StigmergyError]:
        answers = await self._log.write(writes)
        if self._pump is not None:
            for write, answer in zip(writes, answers, strict=True):
                if isinstance(answer, Ack) and not answer.duplicate:
                    self._hear_own(write, answer.sequence)
        return answers

    async def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> int:
        return await append_framed(self.write, events, guard)

    def _hear_own(self, write: Write, sequence: int) -> None:
        if sequence != self._position + 1 or any(follower.full for follower in self._followers):
            return
        subject = subject_of(write.events, write.key)
        if not self._reached.has(subject):
            self._position = sequence  # the reader will not come by it
            return
        events = [
            msgspec.structs.replace(event, sequence=sequence, index=index) for index, event in enumerate(write.events)
        ]
        self._hand_out([(subject, events)], sequence)

    # following

    async def follow(self, window: Window, *, batch: int = _BATCH, wants: Wants = everything) -> AsyncGenerator[Batch]:
        if not self._is_shared(window):
            async for found in self._log.follow(window, batch=batch, wants=wants):
                yield found
            return
        follower = Follower(window.filters, wants)
        try:
            async for before in self._joining(follower, window):
                yield before
            while True:
                yield await follower.next()
                self._room.set()
        finally:
            await self._leave(follower)

    async def attend(
        self, window: Window, take: Callable[[Batch], None], wants: Wants = everything, pressing: Sequence[str] = ()
    ) -> None:
        """See :func:`attend`."""
        if not self._is_shared(window):
            async for found in self._log.follow(window, wants=wants):
                take(found)
            return
        follower = Attending(window.filters, wants, take, pressing)
        try:
            async for before in self._joining(follower, window):
                take(before)
            await follower.failed()
        finally:
            await self._leave(follower)

    async def _joining(self, follower: Follower, window: Window) -> AsyncIterator[Batch]:
        """What it has missed; it has joined when there is no more."""
        first = window.first
        while not self._join(follower, first):
            upto = self._position
            events = [event async for event in self._log.read(Window(window.filters, first, upto))]
            yield Batch(tuple(events), upto)
            first = upto + 1

    def _is_shared(self, window: Window) -> bool:
        """Whether the shared reader comes by all of it."""
        return window.since is None and all(any(_covers(own, each) for own in self._filters) for each in window.filters)

    def _join(self, follower: Follower, first: int) -> bool:
        """Take part from ``first`` on; False if the reader is beyond that already."""
        if self._pump is None or self._pump.done():
            self._position = first - 1
            self._pump = asyncio.create_task(self._read(first))
            self._pump.add_done_callback(self._ended)
        if first <= self._position:
            return False
        follower.first = first
        self._followers.append(follower)
        self._joined = True
        return True

    async def _leave(self, follower: Follower) -> None:
        if follower in self._followers:
            self._followers.remove(follower)
            self._room.set()
        if not self._followers and self._pump is not None:
            pump, self._pump = self._pump, None
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def _ended(self, pump: asyncio.Task[None]) -> None:
        if pump.cancelled() or (error := pump.exception()) is None:
            return
        for follower in self._followers:
            follower.fail(error)

    async def _read(self, first: int) -> None:
        reading = self._log.messages(
            Window(self._filters, first), batch=_BATCH, known=lambda sequence: sequence <= self._position
        )
        async for messages in reading:
            self._joined = False
            unknown = [stored for stored in messages if stored.sequence > self._position]
            found = [(stored, await self._decoded(stored) if self._wanted(stored) else []) for stored in unknown]
            while self._joined:  # while a payload was fetched: who has just come was not asked
                self._joined = False
                found = [(stored, events or await self._decoded(stored)) for stored, events in found]
            if messages[-1].sequence > self._position:
                # While a payload was fetched, something of our own may have been handed out already.
                fresh = [(stored.subject, events) for stored, events in found if stored.sequence > self._position]
                self._hand_out(fresh, messages[-1].sequence)
            while any(follower.full for follower in self._followers):
                self._room.clear()
                await self._room.wait()

    def _wanted(self, stored: Stored) -> bool:
        # All are asked: each has to know how far it was.
        wanting = [each for each in self._followers if each.wants(stored.subject, stored.sequence)]
        return bool(wanting)

    async def _decoded(self, stored: Stored) -> list[Event]:
        try:
            events = decode(stored.raw, stored.subject, stored.sequence)
            if all(event.dataref is None for event in events):
                return events
            return [await check_out(event, self._log.blobs) for event in events]
        except InvalidInput as error:
            await self._log.bury(stored, error)
            return []

    def _hand_out(self, messages: Sequence[tuple[str, list[Event]]], last: int) -> None:
        self._position = last
        pressing = [follower for follower in self._followers if follower.put(messages, last)]
        for follower in pressing:
            follower.hand_over()
        if pressing:
            self._send()
        if not self._behind and any(follower.behind for follower in self._followers):
            # In two turns of the loop: what is sent in this one is written in the next.
            self._behind, loop = True, asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._hand_over)

    def _hand_over(self) -> None:
        self._behind = False
        for follower in self._followers:
            follower.hand_over()
        self._room.set()

    # everything else

    def messages(
        self, window: Window, *, batch: int = _BATCH, known: Callable[[int], bool] | None = None
    ) -> AsyncIterator[list[Stored]]:
        return self._log.messages(window, batch=batch, known=known)

    async def bury(self, stored: Stored, error: StigmergyError) -> None:
        await self._log.bury(stored, error)

    def read(self, window: Window) -> AsyncIterator[Event]:
        return self._log.read(window)

    def subscribe(self, subscription: Subscription) -> AsyncIterator[Delivery]:
        return self._log.subscribe(subscription)

    async def last_sequence(self) -> int:
        return await self._log.last_sequence()

    async def oldest(self) -> tuple[int, datetime | None]:
        return await self._log.oldest()

    async def newest(self, subject: str) -> int:
        return await self._log.newest(subject)

    async def missions(self, nouns_verbs: Sequence[str]) -> dict[tuple[str, str], dict[str, int]]:
        return await self._log.missions(nouns_verbs)

    def dead_letters(self) -> AsyncIterator[DeadLetter]:
        return self._log.dead_letters()

    async def retry_dead_letter(self, sequence: int) -> int:
        return await self._log.retry_dead_letter(sequence)

    async def close(self) -> None:
        await self._log.close()


async def attend(
    log: Log, window: Window, take: Callable[[Batch], None], wants: Wants = everything, pressing: Sequence[str] = ()
) -> None:
    """Call ``take`` with what is on the log, in its order, and with what comes, for ever.

    By a :class:`SharedLog` it is called as soon as a message of the filters ``pressing`` is known, also in the midst of
    an append of this process: it must not wait for anything. All others come to it before the next one of these, at the
    latest two turns of the loop later, when what they led to elsewhere in this process is under way. Raises what ends
    the reading, and what ``take`` raises.
    """
    if isinstance(log, SharedLog):
        await log.attend(window, take, wants, pressing)
        return
    async for batch in log.follow(window, wants=wants):
        take(batch)


def _widest(filters: Sequence[str]) -> tuple[str, ...]:
    """Those that no other covers."""
    given = dict.fromkeys(filters)
    kept = tuple(each for each in given if not any(other != each and _covers(other, each) for other in given))
    for left, right in combinations(kept, 2):
        if _overlap(left, right):
            raise InvalidInput(f"the filters {left!r} and {right!r} overlap", hint="let one of them cover the other")
    return kept


def _covers(wide: str, narrow: str) -> bool:
    """Whether every subject that matches ``narrow`` matches ``wide``."""
    left, right = wide.split("."), narrow.split(".")
    for place, part in enumerate(left):
        if part == ">":
            return len(right) > place
        if place >= len(right) or right[place] == ">" or part not in ("*", right[place]):
            return False
    return len(left) == len(right)


def _overlap(one: str, other: str) -> bool:
    """Whether a subject can match both."""
    left, right = one.split("."), other.split(".")
    for a, b in zip(left, right, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(left) == len(right)
