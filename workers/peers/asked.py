"""What an agent has in hand while it answers a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.errors import TimedOut
from schemas.events import Payload
from schemas.peers import Ask
from workers.peers.asking import Asker, Asking, Wire
from workers.peers.sheets import Blobs
from workers.stopping import StopFlag


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers are made with. ``record`` appends a fact of a tenant's mission and waits until the log has it."""

    worker: str
    wire: Wire
    blobs: Blobs
    record: Callable[[Payload, str, str], None]
    emit: Callable[[Payload, str, str], None]
    asking: Asking


class Asked:
    """A request, seen from inside.

    Attributes:
        topic: what is asked; question: the particulars.
        agent, worker: who asks; tenant, mission, task, attempt: in which attempt.
    """

    def __init__(
        self,
        desk: Desk,
        ask: Ask,
        tenant: str,
        topic: str,
        question: dict[str, Any],
        flag: StopFlag,
        deadline: float,
        answering: str,
    ) -> None:
        self.topic, self.question = topic, question
        self.agent, self.worker = ask.agent, ask.worker
        self.tenant, self.mission, self.task, self.attempt = tenant, ask.mission, ask.task, ask.attempt
        self._desk, self._flag, self._deadline, self._answering = desk, flag, deadline, answering

    @property
    def remaining_s(self) -> float:
        """How long the answer is still waited for; 0 if nobody waits any more."""
        return max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Raise if the answer is not wanted any more: its time is over, or what it belongs to was stopped."""
        self._flag.check()

    def cancelled(self) -> bool:
        """Whether the answer is not wanted any more: for tools that poll."""
        return self._flag.is_set()

    def ask_peer(self, topic: str, question: dict[str, Any], *, timeout_s: float = 30.0, agent: str = "") -> Any:
        """Ask an agent of yet another worker, at most for as long as the answer to this request is waited for.

        Raises:
            PeerTrouble: as in :meth:`workers.context.Context.ask_peer`.
            TimedOut: nobody waits for the answer to this request any more.
        """
        wait_s = min(timeout_s, self.remaining_s)
        if wait_s <= 0:
            raise TimedOut(f"the time to answer {self.topic!r} is over")
        asker = Asker(self.tenant, self.mission, self.task, self.attempt, self._answering)
        return self._desk.asking.ask(
            asker,
            topic,
            question,
            timeout_s=wait_s,
            record=lambda payload: self._desk.record(payload, self.tenant, self.mission),
            emit=lambda payload: self._desk.emit(payload, self.tenant, self.mission),
            check=self.check,
            agent=agent,
        )
