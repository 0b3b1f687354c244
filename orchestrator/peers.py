"""Hearing of the other replicas of a role, and telling them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from events.leadership.group import Group
from events.signals import Signals
from schemas.errors import StigmergyError
from schemas.replicas import replicas_subject

_log = logging.getLogger(__name__)
_EVERY_S = 0.5
_MANY = 1000


class Said(Protocol):
    """What a member says."""

    @property
    def who(self) -> str: ...


class Peers[M: Said]:
    """What the others said last. One who is alone says nothing, and hears nothing.

    Args:
        kind: the shape of what is said.
        say: gives what this member has to say now.
        heard: called after somebody said something.
    """

    def __init__(
        self,
        signals: Signals,
        group: Group,
        kind: type[M],
        say: Callable[[], M],
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._signals, self._group, self._say, self._heard = signals, group, say, heard
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()
        self._said: dict[str, M] = {}
        self._wake = asyncio.Event()

    @property
    def said(self) -> list[M]:
        """By those who are there; who spoke last comes last."""
        others = frozenset(self._group.others())
        return [said for name, said in self._said.items() if name in others]

    async def run(self) -> None:
        """Tell and hear, until cancelled."""
        await self._signals.listen(replicas_subject(self._group.name), self._hear)
        while True:
            if others := self._group.others():
                if len(self._said) > _MANY:
                    self._said = {name: said for name, said in self._said.items() if name in others}
                try:
                    await self._signals.send(replicas_subject(self._group.name), self._encoder.encode(self._say()))
                except StigmergyError as error:
                    _log.debug("the others could not be told: %s", error)
            self._wake.clear()
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _hear(self, raw: bytes) -> None:
        try:
            said = self._decoder.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not of a peer: %s", error)
            return
        if said.who == self._group.who:
            return
        if self._said.pop(said.who, None) is None:
            # One that is new: it waits to hear of us. Said once to each, or two who disagree about who is there would
            # go on answering one another.
            self._wake.set()
        self._said[said.who] = said
        self._heard()
