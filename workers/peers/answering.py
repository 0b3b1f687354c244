"""The answering side: threads beside a worker's attempts, which take requests or say at once that they are busy."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from schemas.attempts import Failure
from schemas.errors import PeerFailed, StigmergyError
from schemas.events.agent import AgentAnswered
from schemas.peers import Ask, Word, answer_subject, topic_filters
from schemas.signals import Running, Stop
from workers.agents.base import Agent
from workers.peers.asked import Asked, Desk
from workers.peers.sheets import packed, plain_object, unpacked
from workers.stopping import AttemptStopped, StopFlag, interrupt

_log = logging.getLogger(__name__)
_TICK_S = 0.1
_SAY_AGAIN_S = 1.0
_PATIENCE_S = 1.0
_REMEMBERED = 256
_asks = msgspec.json.Decoder(Ask)
_words = msgspec.json.Encoder()
_stops = msgspec.json.Decoder(Stop)
type Answers = Mapping[str, tuple[type[Agent], str]]
"""Topic to the agent that answers it, and the name of its method."""


class _InHand:
    """A request that is being answered."""

    def __init__(self, ask: Ask, tenant: str, reply: str, agent: str) -> None:
        self.ask, self.tenant, self.reply, self.agent = ask, tenant, reply, agent
        self.flag = StopFlag()
        self.deadline = time.monotonic() + ask.remaining_s
        self.said_at = time.monotonic()
        self.thread: int | None = None
        self.told_at: float | None = None
        self.interrupted = False


class Answering:
    """Answers requests for the agents of one worker.

    Args:
        desk: what it works with: wire, blobs, record, and the asking side for agents that ask on.
        answers: what is answered, and how.
        slots: how many requests at once; for more it is busy.
        held_back: gives the reason for which the worker takes nothing new, or an empty text; it must be quick.
    """

    def __init__(
        self, desk: Desk, answers: Answers, slots: int, held_back: Callable[[str, str, str], str] = lambda *_: ""
    ) -> None:
        self._desk, self._answers, self._slots, self._held_back = desk, answers, slots, held_back
        self._lock = threading.Lock()
        self._in_hand: dict[str, _InHand] = {}
        self._said: OrderedDict[str, Word] = OrderedDict()
        self._agents = threading.local()
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="answers")
        self._closed = threading.Event()

    def open(self) -> None:
        """Take requests from now on."""
        if not self._answers:
            return
        threading.Thread(target=self._tick, name="answers", daemon=True).start()
        for topic, (kind, _) in self._answers.items():
            for pattern in topic_filters(topic, kind.named()):
                self._desk.wire.hear(pattern, self._hear, topic)

    def close(self) -> None:
        """Take none any more, and end what is in hand."""
        self._closed.set()
        with self._lock:
            for one in self._in_hand.values():
                one.flag.cancel("the worker leaves")
        self._threads.shutdown(wait=False, cancel_futures=True)

    def hear_stop(self, raw: bytes) -> None:
        """Take in a stop signal: what belongs to an attempt that it ends is not answered any more."""
        try:
            stop = _stops.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError):
            return  # the watch over attempts has said so already
        with self._lock:
            for one in self._in_hand.values():
                running = Running(one.tenant, one.ask.mission, one.ask.task, one.ask.attempt)
                if stop.means(running, worker=self._desk.worker, agent=one.agent):
                    one.flag.cancel(stop.reason)

    # in the wire's thread

    def _hear(self, subject: str, payload: bytes | None, reply: str) -> None:
        try:
            ask = _asks.decode(payload or b"")
            tenant, topic = subject.split(".")[1:3]
            wanted = answer_subject(tenant, ask.worker, ask.id)
        except (msgspec.ValidationError, msgspec.DecodeError, StigmergyError) as error:
            _log.warning("not a request: %s", error)
            return
        if reply != wanted:  # whoever asks might have us say things where only we may speak
            _log.warning("a request of %s wants its answer at %s; it is dropped", ask.worker, reply)
            return
        word = self._first_word(ask, tenant, topic, reply)
        self._desk.wire.say(reply, _words.encode(word))

    def _first_word(self, ask: Ask, tenant: str, topic: str, reply: str) -> Word:
        kind, method = self._answers[topic]
        worker, agent = self._desk.worker, kind.named()
        if ask.worker == worker:
            return Word("own", worker)
        with self._lock:
            if (said := self._said.get(ask.id)) is not None:
                return said
            if ask.id in self._in_hand:
                return Word("accepted", worker, agent)
            why = "it leaves" if self._closed.is_set() else self._held_back(tenant, ask.mission, agent)
            if not why and len(self._in_hand) >= self._slots:
                why = f"{len(self._in_hand)} of {self._slots} in hand"
            if why:
                return Word("busy", worker, agent, why=why)
            one = self._in_hand[ask.id] = _InHand(ask, tenant, reply, agent)
        self._threads.submit(self._answer, one, topic, kind, method)
        return Word("accepted", worker, agent)

    # in a thread that answers

    def _answer(self, one: _InHand, topic: str, kind: type[Agent], method: str) -> None:
        begun = time.monotonic()
        answer: dict[str, Any] = {}
        failure: Failure | None = None
        try:
            answer = self._work(one, topic, kind, method)
        except AttemptStopped:
            failure = _failure(one.flag.error or PeerFailed("stopped"))
        except StigmergyError as error:
            failure = _failure(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an agent raises is its failure, never the worker's
            _log.exception("agent %s failed at a request for %s", kind.named(), topic)
            failure = Failure(code="agent_error", message=f"{type(error).__name__}: {error}"[:2000])
        word = self._last_word(one, topic, answer, failure, time.monotonic() - begun)
        with self._lock:
            self._said[one.ask.id] = word
            while len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
            del self._in_hand[one.ask.id]
        self._desk.wire.say(one.reply, _words.encode(word))

    def _work(self, one: _InHand, topic: str, kind: type[Agent], method: str) -> dict[str, Any]:
        one.thread = threading.get_ident()
        try:
            one.flag.check()
            question = unpacked(one.ask.question, self._desk.blobs)
            asked = Asked(self._desk, one.ask, one.tenant, topic, question, one.flag, one.deadline, one.agent)
            said = getattr(self._agent(kind), method)(asked)
            return plain_object(said, f"the answer of {kind.named()} to {topic!r}")
        finally:
            with self._lock:
                one.thread = None
            if one.interrupted:
                _let_pass()

    def _agent(self, kind: type[Agent]) -> Agent:
        """An instance of this thread's own: the one that makes attempts is at work meanwhile."""
        known: dict[type[Agent], Agent] = self._agents.__dict__.setdefault("known", {})
        if kind not in known:
            known[kind] = kind()
        return known[kind]

    def _last_word(
        self, one: _InHand, topic: str, answer: dict[str, Any], failure: Failure | None, took_s: float
    ) -> Word:
        """What is said in the end, once it is on the log: nobody goes on with what is not."""
        worker, ask = self._desk.worker, one.ask
        answered = AgentAnswered(
            task=ask.task,
            attempt=ask.attempt,
            request=ask.id,
            topic=topic,
            worker=worker,
            agent=one.agent,
            outcome="answered" if failure is None else "failed",
            answer=answer,
            failure=failure,
            duration_s=round(took_s, 6),
        )
        try:
            self._desk.record(answered, one.tenant, ask.mission)
            if failure is None:
                return Word("answer", worker, one.agent, packed(answer, self._desk.blobs))
        except StigmergyError as error:
            _log.warning("the answer to %s could not be recorded: %s", ask.id, error)
            failure = _failure(error)
        return Word("failed", worker, one.agent, why=failure.message, code=failure.code)

    # in a thread that looks after them

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_S):
            with self._lock:
                for one in self._in_hand.values():
                    self._look(one, time.monotonic())

    def _look(self, one: _InHand, now: float) -> None:
        if now - one.said_at >= _SAY_AGAIN_S:
            one.said_at = now
            self._desk.wire.say(one.reply, _words.encode(Word("accepted", self._desk.worker, one.agent)))
        if now > one.deadline and not one.flag.is_set():
            one.flag.time_out(one.ask.remaining_s)
        if not one.flag.is_set():
            return
        one.told_at = one.told_at or now
        if not one.interrupted and one.thread is not None and now - one.told_at > _PATIENCE_S:
            one.interrupted = True
            interrupt(one.thread)


def _let_pass() -> None:
    """An interruption that is already on its way is waited for where it can do no harm."""
    try:
        time.sleep(0.01)
    except AttemptStopped:
        _log.debug("the answer ended while it was being interrupted")


def _failure(error: StigmergyError) -> Failure:
    return Failure(code=error.code, message=error.message[:2000], hint=error.hint[:1000], retryable=error.retryable)
