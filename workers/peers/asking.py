"""The asking side: requests to agents of other workers, and the record of what came of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from events.peers import Hear
from schemas.errors import InvalidInput, PeerBusy, PeerFailed, PeerUnavailable
from schemas.events import Payload
from schemas.events.agent import AgentAsked, AgentHeard
from schemas.ids import uuid7
from schemas.peers import Ask, Word, answer_filter, answer_subject, ask_subject
from workers.peers.request import Check, Request
from workers.peers.sheets import Blobs, packed, plain_object, unpacked

_log = logging.getLogger(__name__)
_NOBODY = Word("nobody")
_words = msgspec.json.Decoder(Word)
type Emit = Callable[[Payload], None]
type Outcome = Literal["answered", "failed", "busy", "unavailable", "left"]


class Wire(Protocol):
    """Messages between workers, for callers in ordinary threads."""

    def say(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send without waiting."""

    def hear(self, pattern: str, hear: Hear, queue: str = "") -> None:
        """Hear from now on; called in a thread of the wire's own, it must be quick."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the agent, and the attempt in which it does."""

    tenant: str
    mission: str
    task: str
    attempt: int
    agent: str


class Asking:
    """Asks for the agents of one worker; any number of threads may use it at once.

    Args:
        worker: who this is; only other workers are asked.
    """

    def __init__(self, wire: Wire, blobs: Blobs, worker: str) -> None:
        self._wire, self._blobs, self._worker = wire, blobs, worker
        self._pending: dict[str, Request] = {}
        self._listening = False
        self._lock = threading.Lock()

    def ask(
        self,
        asker: Asker,
        topic: str,
        question: dict[str, Any],
        *,
        timeout_s: float,
        record: Emit,
        emit: Emit,
        check: Check,
        agent: str = "",
    ) -> dict[str, Any]:
        """The answer of an agent of another worker.

        Args:
            agent: a certain agent; any that answers the topic if empty.
            record: records a fact and waits until the log has it: nobody answers what was not asked; ``emit`` does not
                wait.
            check: called all the time; raises what ends the attempt that asks.

        Raises:
            PeerBusy, PeerUnavailable, PeerFailed: see there.
            InvalidInput, LimitExceeded: the question cannot be sent.
        """
        subject = ask_subject(asker.tenant, topic, agent)
        if not timeout_s > 0:
            raise InvalidInput(f"a peer cannot answer within {timeout_s:g} s")
        plain = plain_object(question, f"the question to {topic!r}")
        request = self._request(asker, topic, plain, subject, timeout_s, check)
        name, begun = request.ask.id, time.monotonic()
        who = {"task": asker.task, "attempt": asker.attempt, "request": name}
        asked = AgentAsked(**who, by=asker.agent, topic=topic, to=agent, question=plain, timeout_s=timeout_s)
        outcome, said = "left", Word("nobody")
        try:
            record(asked)
            said = request.last_word()
            outcome = "answered" if said.kind == "answer" else "failed"
            return self._answer(topic, said)
        except PeerBusy:
            outcome = "busy"
            raise
        except PeerUnavailable:
            outcome = "unavailable"
            raise
        finally:
            del self._pending[name]
            took = round(time.monotonic() - begun, 6)
            heard = AgentHeard(
                **who, outcome=outcome, worker=said.worker, agent=said.agent, tries=request.tries, duration_s=took
            )
            emit(heard)

    def _answer(self, topic: str, said: Word) -> dict[str, Any]:
        if said.kind == "failed":
            message = f"{said.agent or topic} on {said.worker} could not answer {topic!r}: {said.why}"
            raise PeerFailed(message, hint="its worker's log says more")
        return unpacked(said.answer, self._blobs)

    def _request(
        self, asker: Asker, topic: str, question: dict[str, Any], subject: str, timeout_s: float, check: Check
    ) -> Request:
        name = str(uuid7())
        reply = answer_subject(asker.tenant, self._worker, name)
        ask = Ask(
            id=name,
            worker=self._worker,
            agent=asker.agent,
            mission=asker.mission,
            task=asker.task,
            attempt=asker.attempt,
            question=packed(question, self._blobs),
            remaining_s=timeout_s,
        )
        deadline = time.monotonic() + timeout_s
        made = Request(topic, ask, lambda raw: self._wire.say(subject, raw, reply), check, deadline)
        with self._lock:
            if not self._listening:
                self._wire.hear(answer_filter(self._worker), self._hear)
                self._listening = True
            self._pending[name] = made
        return made

    def _hear(self, subject: str, payload: bytes | None, _reply: str) -> None:
        request = self._pending.get(subject.rpartition(".")[2])
        if request is None:
            return  # it was answered before, or given up
        try:
            request.inbox.put(_NOBODY if payload is None else _words.decode(payload))
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            _log.warning("not a word of a peer: %s", error)
