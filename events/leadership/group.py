"""One member of a group that shares partitions out among itself; every partition is led by one member at a time.

How it holds together:

- A member's *session* is a key that it writes again every half second, compared with the revision it wrote before. It
  leads until :data:`LEASE_S` less a margin have passed since it *asked* for the last such write; then it pauses.
- Who has *heard* nothing of a session for :data:`LEASE_S`, which is later, declares it gone: by a write to that key,
  compared with the last revision heard. Either this or a renewal wins. Only then are the member's partitions free: so
  one whose renewal succeeds, however late, knows that nobody has taken anything from it.
- A partition's key names its leader, and is written compared with its revision. Everybody computes the same shares
  (:mod:`events.leadership.sharing`), gives back what is another's and takes what is free and its own.
- Who does not hear its own signs of life calls nobody silent: it may be deaf, or have slept.

All this saves work; it keeps nothing right. What keeps decisions right is the log's guard.

Roads not taken: a lease for each partition costs 32 renewals a round instead of one, and ends no sooner. A maximum age
of the bucket would have the server end sessions, but it tells nobody: everybody would have to ask.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from events.leadership.port import Entry, Keys, Put
from events.leadership.session import LEASE_S, Session, now
from events.leadership.sharing import share_out
from events.leadership.view import View
from schemas.errors import InvalidInput, LogUnavailable, StigmergyError
from schemas.ids import token
from schemas.leaders import MEMBER, PART, SHAPE, Part, Shape

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """Partitions that have just become ours.

    Attributes:
        terms: each with the revision by which it was taken: those of later leaders are greater.
        before: whom they come from, if from anybody.
        why: how it came to that, for people; empty for partitions that nobody led before.
    """

    terms: dict[int, int]
    before: tuple[str, ...] = ()
    why: str = ""


class Hands(Protocol):
    """What leads. All calls come one after the other, but for :meth:`lapse`."""

    async def prepare(self, parts: frozenset[int]) -> None:
        """These are to become ours soon: read what is needed, and decide nothing yet."""

    async def take(self, taken: Taken) -> None:
        """These are ours now."""

    def lapse(self) -> None:
        """Nothing is ours until :meth:`resume`: the lease could not be renewed in time. ``holds`` says so already."""

    async def resume(self) -> None:
        """What was ours still is: nobody has taken anything meanwhile."""

    async def give(self, parts: frozenset[int]) -> None:
        """These are no longer ours, or shall not become so: finish the decision in hand and forget them."""


class Group:
    """This process as a member.

    Args:
        name: of the group, for instance ``orchestrator``.
        who: this member, a token no other has.
        partitions: how many are shared out; the same for all members.
        lease_s: the same for all members.
    """

    def __init__(self, keys: Keys, name: str, who: str, *, partitions: int = 1, lease_s: float = LEASE_S) -> None:
        self.name, self.who, self.partitions = token(name, "group"), token(who, "member"), partitions
        self._keys = keys
        self._view = View(name)
        self._changed = asyncio.Event()
        self._session = Session(keys, name, who, self._view, lease_s, self._changed)
        self._first_view = asyncio.Event()
        self._held: frozenset[int] = frozenset()
        self._giving: frozenset[int] = frozenset()
        self._prepared: frozenset[int] = frozenset()

    def holds(self, part: int) -> bool:
        """Whether this member leads the partition at this moment."""
        return part in self._held and part not in self._giving and self._session.holds

    def others(self) -> list[str]:
        """The other members that are there."""
        return [name for name in self._view.here() if name != self.who]

    async def run(self, hands: Hands, ready: asyncio.Event | None = None) -> None:
        """Take part until cancelled. ``ready`` is set when what can be ours at once is. Then everything is given back.

        Raises:
            InvalidInput: the other members share out another number of partitions.
            LogUnavailable: the store stays away.
        """
        await self._keys.open()
        watching = asyncio.create_task(self._watch())
        working = [asyncio.create_task(self._begin())]
        try:
            await _first(watching, *working)
            working = [asyncio.create_task(self._keep()), asyncio.create_task(self._lead(hands, ready))]
            await _first(watching, *working)
        finally:
            await _end(*working)
            try:
                await self._leave(hands)
            finally:
                self._session.disarm()
                await _end(watching)

    # beginning and ending

    async def _begin(self) -> None:
        await self._first_view.wait()
        await self._session.declare_dead()
        while True:
            shape, revision = self._view.shape or (None, 0)
            if shape is not None and shape.partitions == self.partitions:
                return
            if shape is not None and any(self._view.lives(name) for name in self._view.members):
                await self._check_alone(shape.partitions)
            put = Put(f"{self.name}.{SHAPE}", msgspec.json.encode(Shape(self.partitions)), revision)
            [written] = await self._keys.put([put])
            if isinstance(written, int):
                self._take_in(put, written)
            else:
                self._changed.clear()
                await _within(self._changed.wait(), self._session.renew_s)

    async def _check_alone(self, theirs: int) -> None:
        """Wait until nobody lives who shares out another number. Raises InvalidInput if somebody does."""
        deadline = now() + self._session.lease_s + self._session.renew_s
        known = {name: seen.revision for name, seen in self._view.members.items()}
        while now() < deadline:
            await asyncio.sleep(self._session.look_s)
            for name, seen in self._view.members.items():
                if seen.record.state != "gone" and seen.revision != known.get(name):
                    raise InvalidInput(
                        f"{name} and others divide missions into {theirs} partitions, not into {self.partitions}",
                        hint=f"set STIGMERGY_PARTITIONS={theirs} here, or end all replicas of {self.name} before it is "
                        "changed; stig leaders shows them",
                    )
        await self._session.declare_silent()

    async def _leave(self, hands: Hands) -> None:
        """Say so, finish, give back, be gone: others take over at once."""
        await self._session.leave()
        self._giving = self._held
        await hands.give(self._held | self._prepared)
        if self._session.joined and not self._session.lost:
            await self._release(self._held, f"{self.who} has left")
        self._held = frozenset()
        await self._session.end()

    async def _keep(self) -> None:
        """Renew the session for ever."""
        while True:
            await asyncio.sleep(self._session.renew_s)
            await self._session.renew()

    async def _watch(self) -> None:
        mine = f"{self.name}.{MEMBER}.{self.who}"
        async for entries in self._keys.watch(self.name):
            news = False
            for entry in entries:
                if entry.key == mine and self._session.joined:
                    self._session.heard_itself()
                news = self._view.take(entry, now()) or news
            self._first_view.set()
            if news:
                self._changed.set()
        raise LogUnavailable("the leaders can no longer be watched")

    def _take_in(self, put: Put, revision: int) -> None:
        """What we wrote ourselves is known at once."""
        if self._view.take(Entry(put.key, put.value, revision), now()):
            self._changed.set()

    # leading

    async def _lead(self, hands: Hands, ready: asyncio.Event | None) -> None:
        while True:
            self._changed.clear()
            if self._session.lost:
                await self._start_over(hands)
            if not self._session.joined:
                await self._session.declare_silent()
                await self._prepare(hands, self._shares())  # before the others give it back
                await self._session.join()
                self._session.arm(hands.lapse)
            try:
                await self._step(hands)
            except StigmergyError as error:
                if not error.retryable:
                    raise
                _log.warning("%s of %s cannot change what it leads now: %s", self.who, self.name, error)
                await asyncio.sleep(self._session.renew_s)
                continue
            if ready is not None and not self._session.lost:
                ready.set()
            await _within(self._changed.wait(), self._session.look_s)

    async def _start_over(self, hands: Hands) -> None:
        _log.warning("%s of %s was declared gone (%s), and joins again", self.who, self.name, self._session.lost)
        self._session.disarm()
        ours, self._held, self._prepared = self._held | self._prepared, frozenset(), frozenset()
        self._session.joined = False
        await hands.give(ours)

    def _wanted(self) -> dict[int, str]:
        """Who shall lead what, as things stand."""
        return share_out(self.partitions, self._view.owners(), {*self._view.here(), self.who})

    def _shares(self) -> frozenset[int]:
        return frozenset(part for part, member in self._wanted().items() if member == self.who)

    async def _step(self, hands: Hands) -> None:
        """One step towards the even shares."""
        await self._session.declare_silent()
        if self._session.lapsed and self._session.holds:
            self._session.lapsed = False
            self._session.arm(hands.lapse)
            await hands.resume()
        if not self._session.holds:
            return
        mine = self._shares()
        await self._give_back(hands, mine)
        await self._prepare(hands, mine)
        owners = self._view.owners()
        free = [part for part in sorted(mine - self._held) if owners.get(part, self.who) == self.who]
        if free and self._session.holds:
            await self._take(hands, free)

    async def _prepare(self, hands: Hands, mine: frozenset[int]) -> None:
        if unwanted := self._prepared - mine - self._held:
            self._prepared -= unwanted
            await hands.give(unwanted)
        if fresh := mine - self._prepared:
            await hands.prepare(fresh)
            self._prepared |= fresh

    async def _give_back(self, hands: Hands, mine: frozenset[int]) -> None:
        owners = self._view.owners()
        ours = frozenset(part for part, member in owners.items() if member == self.who)
        if away := (self._held | ours) - mine:
            self._giving = away
            wanted = self._wanted()
            takers = sorted({wanted[part] for part in away})
            if going := away & self._held:
                await hands.give(going)
            self._held -= away
            self._prepared -= away
            self._giving = frozenset()
            await self._release(away & ours, f"{', '.join(takers)} joined")

    async def _release(self, parts: Iterable[int], why: str) -> None:
        record = Part(since=time.time(), before=self.who, why=why)
        await self._write_parts(parts, dict.fromkeys(parts, record))

    async def _take(self, hands: Hands, parts: Collection[int]) -> None:
        how = {part: self._view.how_it_became_free(part) for part in parts}
        now = time.time()
        records = {
            part: Part(member=self.who, since=now, before=before, why=why) for part, (before, why) in how.items()
        }
        if got := await self._write_parts(parts, records):
            self._held |= frozenset(got)
            before = tuple(sorted({how[part][0] for part in got} - {"", self.who}))
            why = "; ".join(sorted({how[part][1] for part in got if how[part][0] in before} - {""}))
            _log.info("%s leads %d of %d partitions of %s", self.who, len(self._held), self.partitions, self.name)
            await hands.take(Taken(got, before, why))

    async def _write_parts(self, parts: Iterable[int], records: dict[int, Part]) -> dict[int, int]:
        """Write keys of partitions all at once; those that succeeded, with their revisions."""
        numbers = sorted(parts)
        puts = [
            Put(f"{self.name}.{PART}.{part}", msgspec.json.encode(records[part]), self._view.revision_of(part))
            for part in numbers
        ]
        written: dict[int, int] = {}
        for part, put, done in zip(numbers, puts, await self._keys.put(puts), strict=True):
            if isinstance(done, int):
                written[part] = done
                self._take_in(put, done)
            else:
                _log.debug("%s: partition %d: %s", self.who, part, done)
        return written


async def _within(waiting: Coroutine[Any, Any, Any], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return


async def _first(*tasks: asyncio.Future[None]) -> None:
    """Until the first of them ends or fails."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
