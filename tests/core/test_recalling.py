"""What a task-queue manager that has just come learns from the log, and how an orchestrator uses what it has seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.memory import MemoryLog
from orchestrator.task_queue.recalling import recall
from orchestrator.task_queue.situation import Situation
from schemas.cards import SkillCard
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.enveloping import envelop
from schemas.events.llm import LlmCompleted
from schemas.events.worker import WorkerJoined
from schemas.expectations import Observation
from schemas.requirements import profile
from schemas.signals import Heartbeat

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def finished(number: int, worker: str, outcome: str = "succeeded") -> AttemptFinished:
    product, observation = {"tree": "c" * 40, "packs": []}, Observation(duration_s=2.0)
    said = {"task": f"t{number}", "attempt": 1, "worker": worker, "skill": "paint", "outcome": outcome}
    return AttemptFinished.model_validate({**said, "product": product, "observation": observation})


async def log_of(*payloads: Payload) -> MemoryLog:
    log = MemoryLog()
    for number, payload in enumerate(payloads):
        mission = {} if payload.TYPE.startswith("worker.") else {"mission": "m"}
        at = BEGIN + timedelta(seconds=number)
        await log.append([envelop(payload, id=f"e{number}", source="/w", at=at, tenant="t", **mission)])
    return log


async def test_the_newest_part_of_the_log_makes_experience() -> None:
    cards = (
        SkillCard(id="paint", agent="p", version="2"),
        SkillCard(id="gild", agent="p", version="3", learned=True),
        SkillCard(id="old", agent="p", deprecated="use paint"),
    )
    log = await log_of(
        WorkerJoined(worker="w", host="h1", pid=1, skills=("paint",), labels={"gpu": "1"}, cards=cards),
        LlmCompleted(task="t0", attempt=1, model="x", tokens_in=7, cost_usd=0.5),
        finished(0, "w"),
        finished(1, "w", "failed"),
        finished(2, "w", "cancelled"),
        finished(3, "heard"),
        finished(4, "stranger"),
    )
    situation = Situation(lease_s=3.0, since=0.0)
    situation.hear(Heartbeat(worker="heard", host="h2", skills=("paint",), profile="abc"), 1.0)
    await recall(log, situation, await log.last_sequence())
    # As the worker itself makes it: what was learned is no part of it, what is deprecated is.
    of = situation.experience.tally("paint", profile("h1", {"gpu": "1"}, {"paint": "2"}, ["old"]))
    assert (of.succeeded, of.failed, of.attempts) == (1, 1, 2)
    assert (of.mean_usd, of.mean_tokens) == pytest.approx((0.25, 3.5), rel=1e-4)  # a second older, a bit less
    assert situation.experience.tally("paint", "abc").attempts == 1
    assert situation.experience.warm({"tree": "c" * 40}) == {"h1", "h2"}


async def test_what_comes_later_is_left_to_who_follows_the_log() -> None:
    log = await log_of(finished(0, "w"), finished(1, "w"))
    situation = Situation(lease_s=3.0, since=0.0)
    situation.hear(Heartbeat(worker="w", host="h", skills=("paint",), profile="abc"), 1.0)
    await recall(log, situation, 1)
    assert situation.experience.tally("paint", "abc").attempts == 1
