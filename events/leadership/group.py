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
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from events.leadership.machine import died_here, this_machine
from events.leadership.port import Entry, Keys, Put
from events.leadership.sharing import share_out
from events.leadership.view import View
from schemas.errors import Conflict, InvalidInput, LogUnavailable, StigmergyError
from schemas.ids import token, uuid7
from schemas.leaders import MEMBER, PART, SHAPE, Member, Part, Shape

LEASE_S = 3.0
RENEW_S = LEASE_S / 6
_MARGIN_S = LEASE_S / 6
_LOOK_S = LEASE_S / 12
_DEAF_S = 3 * RENEW_S
_FORGET_S = 600
"""After so many seconds the store forgets the session of a member that nobody saw die."""
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
        self._scale = lease_s / LEASE_S
        self.view = View(name)
        self._nonce = ""
        self._since = 0.0
        self._revision = 0
        self._until = 0.0
        self._heard_self = 0.0
        self._leaving = False
        self._lapsed = False
        self._lost = ""
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._first_view = asyncio.Event()
        self._held: frozenset[int] = frozenset()
        self._giving: frozenset[int] = frozenset()
        self._prepared: frozenset[int] = frozenset()

    def holds(self, part: int) -> bool:
        """Whether this member leads the partition at this moment."""
        return part in self._held and part not in self._giving and _now() < self._until and not self._lost

    def others(self) -> list[str]:
        """The other members that are there."""
        return [name for name in self.view.here() if name != self.who]

    async def run(self, hands: Hands, ready: asyncio.Event | None = None) -> None:
        """Take part until cancelled. ``ready`` is set when what can be ours at once is. Then everything is given back.

        Raises:
            InvalidInput: the other members share out another number of partitions.
            LogUnavailable: the store stays away.
        """
        await self._keys.open()
        watching = asyncio.create_task(self._watch())
        working: list[asyncio.Task[None]] = []
        try:
            working = [asyncio.create_task(self._begin())]
            await _first(watching, *working)
            working = [asyncio.create_task(self._keep(hands)), asyncio.create_task(self._lead(hands, ready))]
            await _first(watching, *working)
        finally:
            await _end(*working)
            try:
                await self._leave(hands)
            finally:
                self._disarm()
                await _end(watching)

    # beginning and ending

    async def _begin(self) -> None:
        await self._first_view.wait()
        for name, seen in list(self.view.members.items()):
            if seen.record.state != "gone" and died_here(seen.record.machine, seen.record.pid):
                await self._declare_gone(name, f"the process of {name} has ended")
        while True:
            shape, revision = self.view.shape or (None, 0)
            if shape is not None and shape.partitions == self.partitions:
                return
            if shape is not None and any(self.view.lives(name) for name in self.view.members):
                await self._check_alone(shape.partitions)
            value = msgspec.json.encode(Shape(self.partitions))
            [written] = await self._keys.put([Put(f"{self.name}.{SHAPE}", value, revision)])
            if isinstance(written, int):
                self._take_in(f"{self.name}.{SHAPE}", value, written)
            else:
                self._changed.clear()
                await _within(self._changed.wait(), self._scale * RENEW_S)

    async def _check_alone(self, theirs: int) -> None:
        """Wait until nobody lives who shares out another number. Raises InvalidInput if somebody does."""
        deadline = _now() + self._scale * (LEASE_S + RENEW_S)
        known = {name: seen.revision for name, seen in self.view.members.items()}
        while _now() < deadline:
            await asyncio.sleep(self._scale * _LOOK_S)
            for name, seen in self.view.members.items():
                if seen.record.state != "gone" and seen.revision != known.get(name):
                    raise InvalidInput(
                        f"{name} and others divide missions into {theirs} partitions, not into {self.partitions}",
                        hint=f"set STIGMERGY_PARTITIONS={theirs} here, or end all replicas of {self.name} before it is "
                        "changed; stig leaders shows them",
                    )
        await self._declare_silent()

    async def _join(self) -> None:
        self._nonce, self._since, self._lost = uuid7(), time.time(), ""
        while True:
            known = self.view.members.get(self.who)
            asked = _now()
            if await self._write_self(known.revision if known is not None else 0):
                self._heard_self = _now()
                self._extend(asked)
                return
            await asyncio.sleep(self._scale * _LOOK_S)

    async def _leave(self, hands: Hands) -> None:
        """Say so, finish, give back, be gone: others take over at once."""
        self._leaving, ours = True, self._held | self._prepared
        if self._nonce and not self._lost and _now() < self._until:
            await self._write_self(self._revision)
        self._giving = self._held
        await hands.give(ours)
        if not self._nonce or self._lost:
            return
        await self._release(self._held, f"{self.who} has left")
        self._held = frozenset()
        gone = Member(self._nonce, "gone", since=self._since, until=time.time(), why=f"{self.who} has left")
        [done] = await self._keys.put([self._put_self(gone, self._revision)])
        if isinstance(done, StigmergyError):
            _log.info("%s: what it leads is free once its lease has ended: %s", self.who, done)

    # the session

    def _put_self(self, record: Member, last: int) -> Put:
        return Put(f"{self.name}.{MEMBER}.{self.who}", msgspec.json.encode(record), last, _FORGET_S)

    async def _write_self(self, last: int) -> bool:
        """Write the session's key. False if that failed; :attr:`_lost` is set if it is no longer ours."""
        machine, pid = this_machine()
        record = Member(
            self._nonce, "leaving" if self._leaving else "here", since=self._since, machine=machine, pid=pid
        )
        put = self._put_self(record, last)
        [done] = await self._keys.put([put])
        if isinstance(done, Conflict) and (seen := await self._look_at_self()):
            put = self._put_self(record, seen)
            [done] = await self._keys.put([put])
        if isinstance(done, StigmergyError):
            _log.debug("%s: %s", self.who, done)
            return False
        self._revision = done
        self._take_in(put.key, put.value, done)
        return True

    async def _look_at_self(self) -> int:
        """Another revision than expected: the answer to a write of ours was lost, or somebody declared us gone.

        The revision by which the session goes on, 0 if it does not or nobody answers.
        """
        try:
            found = await self._keys.get(f"{self.name}.{MEMBER}.{self.who}")
        except LogUnavailable:
            return 0
        if found is not None:
            self._take_in(found.key, found.value, found.revision)
            record = msgspec.json.decode(found.value, type=Member)
            if record.nonce == self._nonce and record.state != "gone":
                return found.revision
        if self._revision:
            self._lost = record.why if found is not None and record.why else "its session was removed"
            self._changed.set()
        return 0

    async def _keep(self, hands: Hands) -> None:
        """Renew the session for ever."""
        while True:
            await asyncio.sleep(self._scale * RENEW_S)
            if not self._nonce or self._lost:
                continue
            asked = _now()
            if await self._write_self(self._revision):
                self._extend(asked)
            self._armed(hands)

    def _extend(self, asked: float) -> None:
        self._until = asked + self._scale * (LEASE_S - _MARGIN_S)

    def _armed(self, hands: Hands) -> None:
        """Have :meth:`Hands.lapse` called in the moment in which the lease ends."""
        self._disarm()
        if self._lapsed:
            self._changed.set()
            return

        def lapse() -> None:
            self._lapsed = True
            _log.warning("%s of %s pauses: its lease could not be renewed in time", self.who, self.name)
            hands.lapse()

        self._timer = asyncio.get_running_loop().call_at(max(self._until, _now()), lapse)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # watching

    async def _watch(self) -> None:
        async for entries in self._keys.watch(self.name):
            now, news = _now(), False
            for entry in entries:
                mine = entry.key == f"{self.name}.{MEMBER}.{self.who}"
                if mine and self._nonce:
                    if now - self._heard_self > self._scale * _DEAF_S:
                        self.view.hear_anew(now)
                    self._heard_self = now
                news = self.view.take(entry, now) or news
            self._first_view.set()
            if news:
                self._changed.set()
        raise LogUnavailable("the leaders can no longer be watched")

    def _take_in(self, key: str, value: bytes, revision: int) -> None:
        """What we wrote ourselves is known at once."""
        if self.view.take(Entry(key, value, revision), _now()):
            self._changed.set()

    async def _declare_silent(self) -> None:
        now = _now()
        if self._nonce and now - self._heard_self > self._scale * _DEAF_S:
            return
        for name, seen in list(self.view.members.items()):
            silent = now - seen.heard_at
            if name != self.who and seen.record.state != "gone" and silent > self._scale * LEASE_S:
                await self._declare_gone(name, f"{name} fell silent {silent:.1f} s ago")

    async def _declare_gone(self, name: str, why: str) -> None:
        seen = self.view.members[name]
        record = msgspec.structs.replace(seen.record, state="gone", until=time.time(), why=why)
        put = Put(f"{self.name}.{MEMBER}.{name}", msgspec.json.encode(record), seen.revision, _FORGET_S)
        [done] = await self._keys.put([put])
        if isinstance(done, int):
            _log.info("%s: %s", self.name, why)
            self._take_in(put.key, put.value, done)

    # leading

    async def _lead(self, hands: Hands, ready: asyncio.Event | None) -> None:
        while True:
            self._changed.clear()
            if self._lost:
                await self._start_over(hands)
            if not self._nonce:
                await self._declare_silent()
                await self._prepare(hands, self._shares())  # before the others give it back
                await self._join()
                self._armed(hands)
            try:
                await self._step(hands)
            except StigmergyError as error:
                if not error.retryable:
                    raise
                _log.warning("%s of %s cannot change what it leads now: %s", self.who, self.name, error)
                await asyncio.sleep(self._scale * RENEW_S)
                continue
            if ready is not None and not self._lost:
                ready.set()
            await _within(self._changed.wait(), self._scale * _LOOK_S)

    async def _start_over(self, hands: Hands) -> None:
        _log.warning("%s of %s was declared gone (%s), and joins again", self.who, self.name, self._lost)
        self._disarm()
        ours, self._held, self._prepared, self._nonce = self._held | self._prepared, frozenset(), frozenset(), ""
        self._revision, self._lapsed = 0, False
        await hands.give(ours)

    def _shares(self) -> frozenset[int]:
        """What shall be ours, as things stand."""
        wanted = share_out(self.partitions, self.view.owners(), {*self.view.here(), self.who})
        return frozenset(part for part, member in wanted.items() if member == self.who)

    async def _step(self, hands: Hands) -> None:
        """One step towards the even shares."""
        await self._declare_silent()
        if self._lapsed and _now() < self._until:
            self._lapsed = False
            self._armed(hands)
            await hands.resume()
        if self._lapsed or self._lost:
            return
        mine = self._shares()
        await self._give_back(hands, mine)
        await self._prepare(hands, mine)
        owners = self.view.owners()
        free = [part for part in sorted(mine - self._held) if owners.get(part, self.who) == self.who]
        if free and not self._lost:
            await self._take(hands, free)

    async def _prepare(self, hands: Hands, mine: frozenset[int]) -> None:
        if unwanted := self._prepared - mine - self._held:
            self._prepared -= unwanted
            await hands.give(unwanted)
        if fresh := mine - self._prepared:
            await hands.prepare(fresh)
            self._prepared |= fresh

    async def _give_back(self, hands: Hands, mine: frozenset[int]) -> None:
        owners = self.view.owners()
        ours = frozenset(part for part, member in owners.items() if member == self.who)
        if away := (self._held | ours) - mine:
            self._giving = away
            if going := away & self._held:
                await hands.give(going)
            self._held -= away
            self._prepared -= away
            self._giving = frozenset()
            others = ", ".join(sorted(set(self.others()) - set(owners.values()))) or "the others"
            await self._release(away & ours, f"{others} joined")

    async def _release(self, parts: Iterable[int], why: str) -> None:
        record = Part(since=time.time(), before=self.who, why=why)
        await self._write_parts(parts, dict.fromkeys(parts, record))

    async def _take(self, hands: Hands, parts: Collection[int]) -> None:
        how = {part: self.view.how_it_became_free(part) for part in parts}
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
            Put(f"{self.name}.{PART}.{part}", msgspec.json.encode(records[part]), self.view.revision_of(part))
            for part in numbers
        ]
        written: dict[int, int] = {}
        for part, put, done in zip(numbers, puts, await self._keys.put(puts), strict=True):
            if isinstance(done, int):
                written[part] = done
                self._take_in(put.key, put.value, done)
            else:
                _log.debug("%s: partition %d: %s", self.who, part, done)
        return written


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _within(waiting: Any, seconds: float) -> None:
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
