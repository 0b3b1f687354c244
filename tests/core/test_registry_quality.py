"""How good agents are, folded from the log."""

from __future__ import annotations

from projections.registry.quality import Quality
from schemas.attempts import Action, AttemptOrder, Failure
from schemas.cards import SkillCard, a2a_card
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.worker import WorkerJoined
from schemas.events.world import WorldViolated
from schemas.expectations import Observation, Violation


def made(quality: Quality, task: str, outcome: str | None, *, agent: str = "tester", worker: str = "w1") -> None:
    order = AttemptOrder(tenant="t", mission="m", task=task, attempt=1, skill="test", action=Action(tool="test"))
    quality.take(ActionDispatched(task=task, attempt=1, order=order, queue="stig.test"), "t", "m")
    quality.take(AttemptStarted(task=task, attempt=1, worker=worker, agent=agent), "t", "m")
    if outcome is None:
        failure = Failure(code="worker_lost", message="gone")
        quality.take(ActionExpired(task=task, attempt=1, worker=worker, failure=failure), "t", "m")
        return
    finished = AttemptFinished.model_validate(
        {"task": task, "attempt": 1, "worker": worker, "outcome": outcome, "observation": Observation(duration_s=2.0)}
    )
    quality.take(finished, "t", "m")


def test_attempts_are_counted_by_skill_and_agent() -> None:
    quality = Quality()
    for number in range(6):
        made(quality, f"ok{number}", "succeeded")
    made(quality, "bad", "failed")
    made(quality, "lost", None, worker="w2")
    made(quality, "other", "succeeded", agent="runner")
    tally = quality.agents["test", "tester"]
    assert (tally.succeeded, tally.failed, tally.lost, tally.attempts) == (6, 1, 1, 8)
    assert tally.success_rate == 0.75
    assert tally.mean_s == 2.0
    assert tally.expected_rate() == 0.7
    assert quality.of_skill("test").attempts == 9
    assert quality.workers["test", "w2"].lost == 1


def test_what_the_system_objected_to_is_no_success() -> None:
    quality = Quality()
    made(quality, "liar", "succeeded")
    quality.take(WorldViolated(task="liar", attempt=1, violations=(Violation(kind="x", message="no"),)), "t", "m")
    assert quality.agents["test", "tester"].success_rate == 0.0


def test_a_late_word_does_not_count() -> None:
    quality = Quality()
    made(quality, "slow", None)
    late = AttemptFinished(task="slow", attempt=1, worker="w1", outcome="succeeded")
    quality.take(late, "t", "m")
    assert quality.agents["test", "tester"].attempts == 1


def joined() -> WorkerJoined:
    card = SkillCard(id="test", agent="tester", description="Runs tests.", tags=("pytest",), version="2", nature="cpu")
    return WorkerJoined(
        worker="w1", host="h", pid=1, skills=("test",), agents={"tester": ("test",)}, pool="p", cards=(card,),
        labels={"gpu": "true"},
    )  # fmt: skip


def test_versions_are_known_from_joining() -> None:
    quality = Quality()
    quality.take(joined(), "t", "_")
    assert quality.versions == {"test": {"2": 1}}
    assert quality.skills() == ["test"]


def test_a_card_has_what_a2a_requires() -> None:
    card = a2a_card(joined(), "acme")
    required = {
        "name", "description", "supportedInterfaces", "version", "capabilities", "defaultInputModes",
        "defaultOutputModes", "skills",
    }  # fmt: skip
    assert required <= set(card)
    [skill] = card["skills"]
    assert {"id", "name", "description", "tags"} <= set(skill)
    assert "pytest" in skill["tags"]
    [extension] = card["capabilities"]["extensions"]
    assert extension["params"]["labels"] == {"gpu": "true"}
