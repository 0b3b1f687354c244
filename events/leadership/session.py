"""A member's session: the key that says it lives, and its eye on the sessions of the others."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from events.leadership.machine import died_here, this_machine
from events.leadership.port import Entry, Keys, Put
from events.leadership.view import View
from schemas.errors import Conflict, LogUnavailable, StigmergyError
from schemas.ids import uuid7
from schemas.leaders import MEMBER, Member

LEASE_S = 3.0
_FORGET_S = 600
"""After so many seconds the store forgets the session of a member that nobody saw die."""
_log = logging.getLogger(__name__)


class Session:
    """One process in a group, see :mod:`events.leadership.group` for the rules.

    Args:
        changed: set when something is to be looked at.

    Attributes:
        joined: a session was begun and not lost.
        lapsed: it could not be renewed in time, and has not been since.
        lost: why others declared it gone; empty while they have not.
    """

    def __init__(self, keys: Keys, group: str, who: str, view: View, lease_s: float, changed: asyncio.Event) -> None:
        self._keys, self._group, self._who, self._view, self._changed = keys, group, who, view, changed
        self.lease_s = lease_s
        self.renew_s, self._margin_s, self.look_s, self._deaf_s = lease_s / 6, lease_s / 6, lease_s / 12, lease_s / 2
        self.joined = self.lapsed = self.leaving = False
        self.lost = ""
        self._nonce = ""
        self._since = 0.0
        self._revision = 0
        self._until = 0.0
        self._heard_self = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Whether its lease has not ended, as far as this process can tell."""
        return self.joined and not self.lost and now() < self._until

    # one's own

    async def join(self) -> None:
        """Begin; tries until the store takes it."""
        self._nonce, self._since, self._revision, self.lost, self.lapsed = uuid7(), time.time(), 0, "", False
        while True:
            known, asked = self._view.members.get(self._who), now()
            if await self._write(known.revision if known is not None else 0):
                self._heard_self, self.joined = now(), True
                self._extend(asked)
                return
            await asyncio.sleep(self.look_s)

    async def renew(self) -> None:
        """Once. What came of it is in the attributes."""
        if self.joined and not self.lost:
            asked = now()
            if await self._write(self._revision):
                self._extend(asked)
            if self.lapsed:
                self._changed.set()

    async def leave(self) -> None:
        """Say that it is leaving, so that the others begin to take over."""
        self.leaving = True
        if self.holds:
            await self._write(self._revision)

    async def end(self) -> None:
        """Be gone."""
        self.disarm()
        if not self.joined or self.lost:
            return
        gone = Member(self._nonce, "gone", since=self._since, until=time.time(), why=f"{self._who} has left")
        [done] = await self._keys.put([self._put(self._who, gone, self._revision)])
        if isinstance(done, StigmergyError):
            _log.info("%s: what it leads is free once its lease has ended: %s", self._who, done)

    def arm(self, lapse: Callable[[], None]) -> None:
        """Have ``lapse`` called in the moment in which the lease ends."""
        self.disarm()

        def end() -> None:
            if self.joined and now() < self._until:
                self._timer = asyncio.get_running_loop().call_at(self._until, end)  # it was renewed meanwhile
                return
            self.lapsed = True
            _log.warning("%s of %s pauses: its lease could not be renewed in time", self._who, self._group)
            lapse()

        self._timer = asyncio.get_running_loop().call_at(self._until, end)

    def disarm(self) -> None:
        """Call nobody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _extend(self, asked: float) -> None:
        # The others count from when they hear of it, which is later.
        self._until = asked + self.lease_s - self._margin_s

    def _put(self, name: str, record: Member, last: int) -> Put:
        return Put(f"{self._group}.{MEMBER}.{name}", msgspec.json.encode(record), last, _FORGET_S)

    async def _write(self, last: int) -> bool:
        """Write the session's key. False if that failed; :attr:`lost` is set if it is no longer ours."""
        machine, pid = this_machine()
        record = Member(self._nonce, "leaving" if self.leaving else "here", since=self._since, machine=machine, pid=pid)
        put = self._put(self._who, record, last)
        [done] = await self._keys.put([put])
        if isinstance(done, Conflict) and (seen := await self._look()):
            put = self._put(self._who, record, seen)
            [done] = await self._keys.put([put])
        if isinstance(done, StigmergyError):
            _log.debug("%s: %s", self._who, done)
            return False
        self._revision = done
        self._take_in(put, done)
        return True

    async def _look(self) -> int:
        """Another revision than expected: the answer to a write of ours was lost, or somebody declared us gone.

        The revision by which the session goes on, 0 if it does not or nobody answers.
        """
        try:
            found = await self._keys.get(f"{self._group}.{MEMBER}.{self._who}")
        except LogUnavailable:
            return 0
        why = ""
        if found is not None:
            if self._view.take(found, now()):
                self._changed.set()
            record = msgspec.json.decode(found.value, type=Member)
            if record.nonce == self._nonce and record.state != "gone":
                return found.revision
            why = record.why
        if self._revision:
            self.lost = why or "its session was removed"
            self._changed.set()
        return 0

    def _take_in(self, put: Put, revision: int) -> None:
        """What we wrote ourselves is known at once."""
        if self._view.take(Entry(put.key, put.value, revision), now()):
            self._changed.set()

    # the others'

    def heard_itself(self) -> None:
        """Its own sign of life has come back: it is not deaf. If it was, the others' silence counts from now on."""
        if now() - self._heard_self > self._deaf_s:
            self._view.hear_anew(now())
        self._heard_self = now()

    async def declare_silent(self) -> None:
        """Declare those gone that have not been heard of for a lease, unless it may be this process that is deaf."""
        if self.joined and now() - self._heard_self > self._deaf_s:
            return
        for name, seen in list(self._view.members.items()):
            silent = now() - seen.heard_at
            if name != self._who and seen.record.state != "gone" and silent > self.lease_s:
                await self._declare_gone(name, f"{name} fell silent {silent:.1f} s ago")

    async def declare_dead(self) -> None:
        """Declare those gone whose processes have ended, as far as this machine can tell."""
        for name, seen in list(self._view.members.items()):
            if seen.record.state != "gone" and died_here(seen.record.machine, seen.record.pid):
                await self._declare_gone(name, f"the process of {name} has ended")

    async def _declare_gone(self, name: str, why: str) -> None:
        seen = self._view.members[name]
        record = msgspec.structs.replace(seen.record, state="gone", until=time.time(), why=why)
        put = self._put(name, record, seen.revision)
        [done] = await self._keys.put([put])
        if isinstance(done, int):
            _log.info("%s: %s", self._group, why)
            self._take_in(put, done)


def now() -> float:
    """Monotonic seconds: those of the event loop."""
    return asyncio.get_running_loop().time()
