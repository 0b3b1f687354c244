"""What travels between an agent that asks another one and the worker that answers, on core NATS, unstored.

A request goes to ``peers.<tenant>.<topic>.<agent>`` (``_`` for any agent), where one of the workers that answer the
topic takes it; everything it says goes to ``answers.<tenant>.<asking worker>.<request>``. The first word is at once:
accepted, or busy. Losing a message is harmless: who asks says it again under the same id, and who has it in hand, or
has answered it, says the same again.

What was asked and answered is on the log, as ``agent.asked``, ``agent.answered`` and ``agent.heard``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.ids import token

PEERS = "peers.*.*.*"
ANSWERS = "answers.*.*.*"
ANYBODY = "_"
INLINE_BYTES = 64 * 1024
"""What is larger goes to the blob store, and the message carries its digest."""
MOST_BYTES = 4 * 1024 * 1024
"""A question, or an answer, as JSON."""


class Sheet(msgspec.Struct, frozen=True, omit_defaults=True):
    """A JSON object on its way: written out, or left at the blob store under ``digest``."""

    value: dict[str, Any] = {}
    digest: str = ""


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request.

    Attributes:
        id: the same when it is said again.
        worker, agent: who asks; mission, task, attempt: in which attempt.
        remaining_s: how long the answer is waited for from now on.
    """

    id: str
    worker: str
    agent: str
    mission: str
    task: str
    attempt: int
    question: Sheet
    remaining_s: float


Kind = Literal["accepted", "busy", "own", "nobody", "answer", "failed"]


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says to a request.

    Attributes:
        kind: ``accepted``: it is at work on it, said again every second. ``busy``: it takes none now. ``own``: it is
            the worker that asks. ``nobody``: said by the message server, nobody listens. ``answer`` and ``failed`` are
            the last word.
        why: in words, if it is busy or has failed; ``code`` of the error.
    """

    kind: Kind
    worker: str = ""
    agent: str = ""
    answer: Sheet = Sheet()
    why: str = ""
    code: str = ""


def ask_subject(tenant: str, topic: str, agent: str = "") -> str:
    """Where a request goes. Raises :class:`~schemas.errors.InvalidIdentifier` for what cannot be a name."""
    to = token(agent, "agent") if agent else ANYBODY
    return f"peers.{token(tenant, 'tenant')}.{token(topic, 'topic')}.{to}"


def topic_filters(topic: str, agent: str) -> tuple[str, str]:
    """What a worker listens to that answers a topic, for all tenants."""
    return f"peers.*.{topic}.{ANYBODY}", f"peers.*.{topic}.{agent}"


def answer_subject(tenant: str, worker: str, request: str) -> str:
    """Where the words about a request go."""
    return f"answers.{token(tenant, 'tenant')}.{token(worker, 'worker')}.{token(request, 'request')}"


def answer_filter(worker: str) -> str:
    """What a worker that asks listens to."""
    return f"answers.*.{token(worker, 'worker')}.*"
