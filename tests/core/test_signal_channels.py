"""Whatever a role may say or hear on NATS is described, whatever is described may be said, and what is said fits."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from events import services
from projections.analytics.queries.port import Batch, Column, Ending, Heading, Question
from projections.hosting import ProjectionStatus, RebuildStep, RebuildWish
from projections.world.remote import Asked
from schemas import headers
from schemas.attempts import Action, AttemptOrder
from schemas.backlog import SkillBacklog
from schemas.export import asyncapi
from schemas.export.signals import ARCHIVE, READ_MODELS, Signal, signals, structs_of
from schemas.leaders import Member, Part, Shape
from schemas.ownership import Role
from schemas.peers import Ask, Sheet, Word, answer_subject, ask_subject
from schemas.replicas import Demand, OpenTasks, QueueDemand
from schemas.signals import (
    Acknowledgement,
    Heartbeat,
    PoolCall,
    Running,
    Standing,
    Stop,
    acknowledged_subject,
    heartbeat_subject,
    orders_subject,
    pool_subject,
    reflex_subject,
)
from stigmergy.deploy.nats_permissions import Grant, grants, tenant_grant
from stigmergy.questions import questions
from stigmergy.roles import read_models

SIGNALS = [*signals(), *questions()]
DOCUMENT = json.loads(json.dumps(asyncapi(questions())))
OF_NATS = re.compile(r"\$JS\.|\$O\.|_INBOX\.")
"""NATS's own protocols: the API of JetStream, its object store, the inboxes of whoever asks."""
STORED = ("events.", "commands.", "dead.", "$KV.")
"""Heard by way of JetStream and not by a subscription."""
USER_OF = {
    **{role: role.value for role in Role},
    Role.TASK_QUEUE_MANAGER: "task_queue",
    READ_MODELS: "projections",
    ARCHIVE: "archive",
}


def meets(subject: str, address: str) -> bool:
    """Whether a subject with wildcards and an address with parameters have a subject in common."""
    mine, theirs = subject.split("."), address.split(".")
    if mine[-1] == ">":
        if len(theirs) < len(mine):
            return False
        mine, theirs = mine[:-1], theirs[: len(mine) - 1]
    return len(mine) == len(theirs) and all(
        one == "*" or "{" in other or one == other for one, other in zip(mine, theirs, strict=True)
    )


def described(action: str, user: str) -> list[str]:
    """The addresses at which a user sends, or receives, according to the document."""
    tags = {role for role, name in USER_OF.items() if name == user.partition("_acme")[0]}
    return [
        DOCUMENT["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]["address"]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == action and operation["tags"][0]["name"] in tags
    ]


@pytest.mark.parametrize("grant", [*grants(), tenant_grant("acme", blobs=True)], ids=lambda grant: grant.user)
def test_what_a_role_may_say_and_hear_is_described(grant: Grant) -> None:
    for action, allowed in (("send", grant.publish), ("receive", grant.subscribe)):
        addresses = described(action, grant.user)
        for subject in allowed:
            known = OF_NATS.match(subject) or any(meets(subject, address) for address in addresses)
            assert known, f"{grant.user} may {action} {subject}, which the AsyncAPI document does not know"


@pytest.mark.parametrize("grant", grants(), ids=lambda grant: grant.user)
def test_what_is_described_may_be_said_and_heard(grant: Grant) -> None:
    for action, allowed in (("send", grant.publish), ("receive", grant.subscribe)):
        for address in described(action, grant.user):
            if action == "receive" and address.startswith(STORED):
                continue
            assert any(meets(subject, address) for subject in allowed), f"{grant.user} may not {action} {address}"


def test_the_comparison_notices_what_is_forgotten() -> None:
    assert meets("peers.*.*.*", "peers.{tenant}.{topic}.{agent}")
    assert meets("ask.>", "ask.{tenant}.world.query")
    assert not meets("peers.*.*", "peers.{tenant}.{topic}.{agent}")
    assert not meets("weather.>", "weather")
    assert not any(meets("weather.*", one.address) for one in SIGNALS)


def test_every_question_that_is_answered_is_described() -> None:
    asked = {one.address for one in SIGNALS if one.answers is not None}
    for name in ("task-queue.backlog", "world.query", "analytics.query"):
        assert f"ask.{{tenant}}.{name}" in asked
    for model in read_models():
        for what in ("status", "rebuild", "status.host-1", "rebuild.host-1"):
            assert any(meets(f"ask.*.{model}.{what}", one) for one in asked), f"{model}.{what}"


def test_addresses_are_the_subjects_of_the_code() -> None:
    addresses = {one.name: one.address for one in SIGNALS}
    assert addresses["heartbeats"].format(worker="w") == heartbeat_subject("w")
    assert addresses["orders"].format(worker="w") == orders_subject("w")
    assert addresses["pools"].format(tenant="acme") == pool_subject("acme")
    assert addresses["reflex"].format(tenant="acme", mission="m") == reflex_subject(Stop("acme", "m"))
    assert addresses["reflex"].format(tenant="_", mission="_") == reflex_subject(Stop())
    assert addresses["acknowledged"].format(stop="s") == acknowledged_subject("s")
    assert addresses["peers"].format(tenant="acme", topic="sql", agent="_") == ask_subject("acme", "sql")
    assert addresses["answers"].format(tenant="acme", worker="w", request="r") == answer_subject("acme", "w", "r")
    assert addresses["ask.world.query"].format(tenant="acme") == services.subject_of("acme", "world.query")
    assert (headers.END, headers.OK, headers.ERROR) == ("Stig-End", "ok", "error")


RUNNING = Running("acme", "m", "t", 2)
BACKLOGS = [SkillBacklog("paint", ready=2, oldest_s=1.5)]
DEMAND = Demand(
    "m1",
    {"stig.paint": (QueueDemand(5, {"acme": 2.0}),)},
    {"stig.paint@p": 1},
    {"acme": BACKLOGS},
    {"stig.paint": {5: 3}},
)
SAMPLES: dict[str, list[Any]] = {
    "heartbeats": [Heartbeat("w"), Heartbeat("w", skills=("paint",), running=(RUNNING,), labels={"gpu": "a100"})],
    "reflex": [Stop(), Stop("acme", "m", "t", 2, reason="it no longer counts", forgiven=True)],
    "reflex.standing": [Standing(), Standing(7, (Stop("acme", id="s1"),), ("s0",))],
    "acknowledged": [Acknowledgement("w", (RUNNING,), ended=True)],
    "pools": [PoolCall(), PoolCall("pool", size=4, grace_s=1.5)],
    "peers": [Ask("r", "w", "a", "m", "t", 2, Sheet({"why": "?"}), 1.5)],
    "answers": [Word("accepted", "w"), Word("answer", "w", "a", Sheet(digest="d"))],
    "replicas.orchestrator": [OpenTasks("o1", {7: {"acme": 3}, 8: {}})],
    "replicas.task-queue": [DEMAND],
    "leaders.shape": [Shape(32)],
    "leaders.member": [Member("n"), Member("n", "gone", 1.0, 2.0, "silent", "vm", 7)],
    "leaders.part": [Part(), Part("o1", 1.0, "o2", "o2 was gone")],
    "ask.task-queue.backlog.answer": [BACKLOGS],
    "ask.world.query": [Asked("tasks", "m"), Asked("files", "m", tree="head", form="msgpack")],
    "ask.world.query.answer": [{"position": 7, "value": [{"task": "t"}]}],
    "ask.analytics.query": [Question(template="missions", parameters={"limit": 10})],
    "ask.analytics.query.answer": [Heading((Column("n", "UInt64"),)), Batch([[1, "x"]]), Ending(1, False, 0.1)],
    "ask.status.answer": [ProjectionStatus(name="world", host="h", state="following", position=1, log_end=2)],
    "ask.rebuild": [RebuildWish(), RebuildWish(7)],
    "ask.rebuild.answer": [RebuildStep(1, 7), RebuildStep(7, 7, done=True)],
}


def fits(message: str, value: Any) -> bool:
    schema = {**DOCUMENT, "allOf": [{"$ref": f"#/components/messages/{message}/payload"}]}
    return bool(Draft7Validator(schema).is_valid(value))


@pytest.mark.parametrize("message", SAMPLES)
def test_what_is_said_fits_and_other_things_do_not(message: str) -> None:
    for sample in SAMPLES[message]:
        assert fits(message, msgspec.json.decode(msgspec.json.encode(sample))), sample
    assert not fits(message, {"weather": "fine"} if message == "ask.world.query" else [7])


def test_an_order_fits() -> None:
    order = AttemptOrder(tenant="acme", mission="m", task="t", attempt=1, skill="paint", action=Action(tool="paint"))
    assert fits("orders", json.loads(order.model_dump_json(exclude_defaults=True)))
    assert not fits("orders", {"tenant": "acme"})


def test_there_is_a_sample_of_every_shape() -> None:
    sampled = {type(sample[0]) if isinstance(sample, list) else type(sample) for s in SAMPLES.values() for sample in s}
    assert set(structs_of(SIGNALS)) <= sampled


def test_signals_are_sent_and_received_by_somebody() -> None:
    one: Signal
    for one in SIGNALS:
        assert one.senders, one.name
        assert one.receivers, one.name
        assert one.about.endswith("."), one.name
