"""One request to a peer: said until somebody takes it, and given up at its deadline with a clear word."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from schemas.errors import PeerBusy, PeerTrouble, PeerUnavailable
from schemas.peers import Ask, Word

_LOOK_S = 0.05
_HEARD_WITHIN_S = 1.0
_SILENCE_S = 3.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_NOBODY_TRIES, _NOBODY_PAUSE_S = 4, 0.1
_OWN_TRIES, _OWN_PAUSE_S = 30, 0.005
_asks = msgspec.json.Encoder()
_chance = random.SystemRandom()
type Check = Callable[[], None]


@dataclass
class Request:
    """A request under way.

    Args:
        ask: what is said; its ``remaining_s`` is set anew each time.
        say: sends it.
        check: called all the time; raises what ends the attempt that asks.
        deadline: monotonic seconds.
    """

    topic: str
    ask: Ask
    say: Callable[[bytes], None]
    check: Check
    deadline: float
    inbox: queue.SimpleQueue[Word] = field(default_factory=queue.SimpleQueue)
    tries: int = 0
    _nobody: int = 0
    _own: int = 0
    _pause_s: float = _FIRST_PAUSE_S
    _busy: dict[str, str] = field(default_factory=dict)
    _at_work: str = ""

    def last_word(self) -> Word:
        """Whoever answers it, answers it, or says that it failed.

        Raises:
            PeerBusy: nobody had a hand free, or nobody answered in time.
            PeerUnavailable: nobody else answers the topic.
        """
        while (left := self.deadline - time.monotonic()) > 0:
            self.tries += 1
            self.say(_asks.encode(msgspec.structs.replace(self.ask, remaining_s=round(left, 3))))
            word = self._hear()
            if word is not None and word.kind in ("answer", "failed"):
                return word
            self._count(word)
            self._rest(min(self._waits_s(word), self.deadline - time.monotonic()))
        raise self._too_late()

    def _hear(self) -> Word | None:
        """What came of saying it once; None if nothing did, or if whoever had begun has fallen silent."""
        quiet_at, accepted = time.monotonic() + _HEARD_WITHIN_S, False
        while (left := min(self.deadline, quiet_at) - time.monotonic()) > 0:
            self.check()
            try:
                word = self.inbox.get(timeout=min(_LOOK_S, left))
            except queue.Empty:
                continue
            if word.kind == "accepted":
                accepted, self._at_work = True, word.worker
                quiet_at = time.monotonic() + _SILENCE_S
            elif not accepted or word.kind in ("answer", "failed"):
                return word  # else a late word to an earlier try: somebody is at work on it
        return None

    def _count(self, word: Word | None) -> None:
        kind = word.kind if word is not None else ""
        self._nobody = self._nobody + 1 if kind == "nobody" else 0
        self._own = self._own + 1 if kind == "own" else 0
        if word is not None and kind == "busy":
            self._busy[word.worker] = word.why
        if self._busy or self._at_work:
            return  # somebody was there, who may be starting again: the deadline decides
        if self._nobody >= _NOBODY_TRIES or self._own >= _OWN_TRIES:
            who = "no other worker" if kind == "own" else "nobody"
            raise PeerUnavailable(f"{who} answers {self.topic!r}", hint=self._hint)

    def _waits_s(self, word: Word | None) -> float:
        """How long to wait before it is said again: over the whole range by chance, or those who were refused together
        would come again together."""
        kind = word.kind if word is not None else ""
        if kind == "busy":
            wanted, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        else:
            wanted = {"nobody": _NOBODY_PAUSE_S, "own": _OWN_PAUSE_S}.get(kind, 0.0)
        return wanted * _chance.uniform(0.2, 1.2)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _LOOK_S))

    @property
    def _hint(self) -> str:
        return f"start a worker with an agent that answers it: @answers({self.topic!r})"

    def _too_late(self) -> PeerTrouble:
        if self._nobody:
            who = self._at_work or ", ".join(sorted(self._busy)) or "nobody"
            message = f"nobody answers {self.topic!r} any more; the last that did: {who}"
            return PeerUnavailable(message, hint=self._hint)
        if self._at_work:
            message = f"{self._at_work} took the request for {self.topic!r} and has not answered in time"
            return PeerBusy(message, hint="allow more time, or ask for less; two that ask each other wait for ever")
        if self._busy:
            who = "; ".join(f"{worker} ({why})" for worker, why in sorted(self._busy.items())[:5])
            message = f"all who answer {self.topic!r} were busy through {self.tries} tries: {who}"
            return PeerBusy(message, hint="start more workers that answer it, or allow more time")
        message = f"no word came about {self.topic!r} in {self.tries} tries"
        return PeerUnavailable(message, hint="the time was too short, or the message server is away")
