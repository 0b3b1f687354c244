"""What travels beside events and commands: signals, peers' requests, dead letters, the leaders' keys, questions.

Most of it is on core NATS, unstored. Which subjects there are is written here and nowhere else for the AsyncAPI
document; a test compares them with the permissions of the message server, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel

from schemas import headers
from schemas.attempts import AttemptOrder
from schemas.backlog import BACKLOG, SkillBacklog
from schemas.leaders import BUCKET, MEMBER, PART, SHAPE, Member, Part, Shape
from schemas.ownership import Role
from schemas.peers import Ask, Word
from schemas.replicas import Demand, OpenTasks, replicas_subject
from schemas.signals import Acknowledgement, Heartbeat, PoolCall, Standing, Stop

type Described = type[msgspec.Struct] | type[BaseModel] | dict[str, Any]
"""A shape, or a JSON Schema where there is no class for it."""

READ_MODELS, ARCHIVE = "projections", "archive"
JSON, MSGPACK, BYTES = "application/json", "application/msgpack", "application/octet-stream"
_LEADING = (Role.ORCHESTRATOR, Role.TASK_QUEUE_MANAGER, Role.SCALER)
ASKING = (Role.CLIENT,)


@dataclass(frozen=True)
class Signal:
    """One kind of message: its key in the document, where it goes, what is in it, who sends and who receives.

    Attributes:
        says: the shapes that may be in it; none if it is empty, or bytes of whatever kind.
        answers: of a question, the shapes of a part of the answer; None if it is no question.
        parts: in words, what the parts of an answer are together.
        headers: a JSON Schema of its headers.
    """

    name: str
    address: str
    says: tuple[Described, ...]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    about: str
    form: str = JSON
    answers: tuple[Described, ...] | None = None
    parts: str = ""
    headers: dict[str, Any] | None = None


def signals() -> list[Signal]:
    """All whose shapes are in ``schemas``; questions of read models are added by who knows them."""
    return [*_of_workers(), *_of_peers(), *_of_deciders(), *_kept()]


def _of_workers() -> list[Signal]:
    manager, worker, client = Role.TASK_QUEUE_MANAGER, Role.WORKER, Role.CLIENT
    return [
        Signal(
            "heartbeats",
            "heartbeats.{worker}",
            (Heartbeat,),
            (worker,),
            (manager, Role.SCALER, client),
            "Signs of life. Without one for a lease, a worker's attempts go to others.",
        ),
        Signal("reflex", "reflex.{tenant}.{mission}", (Stop,), (manager, client), (worker, manager), _STOPS),
        Signal(
            "reflex.standing",
            "reflex.standing",
            (Standing,),
            (manager,),
            (worker,),
            "All stops in force, said again every second: who missed one hears of it.",
        ),
        Signal(
            "acknowledged",
            "acknowledged.{stop}",
            (Acknowledgement,),
            (worker,),
            (client,),
            "Workers have heard a stop, or what they stopped has come to its end.",
        ),
        Signal(
            "pools",
            "pools.{tenant}",
            (PoolCall,),
            (client, Role.SCALER),
            (worker,),
            "Pools shall drain or have a size.",
        ),
        Signal(
            "orders",
            "orders.{worker}",
            (AttemptOrder,),
            (manager,),
            (worker,),
            "The next attempt for a worker that stands by. All others come through the Celery queue of their skill.",
        ),
    ]


def _of_peers() -> list[Signal]:
    worker = Role.WORKER
    return [
        Signal(
            "peers",
            "peers.{tenant}.{topic}.{agent}",
            (Ask,),
            (worker,),
            (worker,),
            "An agent asks another one. One of the workers that answer the topic takes it.",
        ),
        Signal(
            "answers",
            "answers.{tenant}.{worker}.{request}",
            (Word,),
            (worker,),
            (worker,),
            "What a worker says to a request: at once that it is accepted or not, at last the answer.",
        ),
    ]


_STOPS = "Work stops at once, where it runs. '_' stands for all tenants, or for all missions."


def _of_deciders() -> list[Signal]:
    orchestrator, manager = Role.ORCHESTRATOR, Role.TASK_QUEUE_MANAGER
    return [
        Signal(
            "replicas.orchestrator",
            replicas_subject("orchestrator"),
            (OpenTasks,),
            (orchestrator,),
            (orchestrator,),
            "Orchestrators tell one another twice a second how much is open.",
        ),
        Signal(
            "replicas.task-queue",
            replicas_subject("task-queue"),
            (Demand,),
            (manager,),
            (manager,),
            "Task-queue managers tell one another twice a second what they want of which queue.",
        ),
        Signal(
            f"ask.{BACKLOG}",
            f"ask.{{tenant}}.{BACKLOG}",
            (),
            (*ASKING, Role.SCALER),
            (manager,),
            "Asks what waits for workers, and what they have in hand. The question is empty.",
            answers=({"type": "array", "items": SkillBacklog},),
            parts="one part",
        ),
    ]


def _kept() -> list[Signal]:
    key = f"$KV.{BUCKET}.{{group}}"
    about = "Key of the bucket of leaders, written only if it is as it was when the writer read it: "
    told = (headers.SUBJECT, headers.SEQUENCE, headers.CODE, headers.CONSUMER, headers.REASON)
    return [
        Signal(
            "leaders.shape", f"{key}.{SHAPE}", (Shape,), _LEADING, _LEADING, f"{about}how many partitions a group has."
        ),
        Signal("leaders.member", f"{key}.{MEMBER}.{{member}}", (Member,), _LEADING, _LEADING, f"{about}one member."),
        Signal(
            "leaders.part", f"{key}.{PART}.{{number}}", (Part,), _LEADING, _LEADING, f"{about}who leads a partition."
        ),
        Signal(
            "dead",
            "dead.{consumer}.{sequence}",
            (),
            (*Role, READ_MODELS, ARCHIVE),
            (Role.CLIENT,),
            "What cannot be read, byte for byte as it was; the headers say from where and why.",
            form=BYTES,
            headers={"type": "object", "properties": {name: {"type": "string"} for name in told}},
        ),
    ]


def structs_of(found: Sequence[Signal]) -> list[type[msgspec.Struct]]:
    """The msgspec shapes in all of them, each once."""
    every = [one for signal in found for one in (*signal.says, *(signal.answers or ()))]
    inside = [one["items"] if isinstance(one, dict) and isinstance(one.get("items"), type) else one for one in every]
    return list(dict.fromkeys(one for one in inside if isinstance(one, type) and issubclass(one, msgspec.Struct)))
