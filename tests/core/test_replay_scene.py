"""What every agent is doing at an event, and what tasks have noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestrator.core.mission import Mission
from schemas.attempts import Failure
from schemas.events import Payload
from schemas.events.action import ActionExpired
from schemas.events.agent import AgentActed, AgentRemembered
from schemas.events.attempt import AttemptFinished, AttemptProgressed, AttemptStarted
from schemas.events.tool import ToolCalled
from stigmergy.replaying import Scene, fold, view
from tests.core.replay_events import event_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def after(*payloads: Payload) -> Scene:
    scene = Scene(Mission(tenant="t", id="m"))
    for number, payload in enumerate(payloads, 1):
        scene = fold(scene, event_of(payload, BEGIN + timedelta(seconds=number), number))
    return scene


def started(task: str, attempt: int = 1, worker: str = "w1") -> AttemptStarted:
    return AttemptStarted(task=task, attempt=attempt, worker=worker, agent="coder")


def finished(task: str, attempt: int = 1) -> AttemptFinished:
    return AttemptFinished(task=task, attempt=attempt, worker="w1", outcome="succeeded")


LOST = ActionExpired(task="a", attempt=1, failure=Failure(code="x", message="lost"))


def test_an_agent_works_says_and_ends() -> None:
    scene = after(started("a"), AgentActed(task="a", attempt=1, text="one\n two"))
    [agent] = view(scene).agents
    assert (agent.worker, agent.agent, agent.doing, agent.task, agent.saying) == (
        "w1",
        "coder",
        "working",
        "a",
        "one two",
    )
    assert agent.since == BEGIN + timedelta(seconds=1)
    scene = after(
        started("a"), ToolCalled(task="a", attempt=1, tool="sed", outcome="failed", duration_s=1), finished("a")
    )
    [agent] = view(scene).agents
    assert (agent.doing, agent.saying, agent.finished, agent.failed) == ("idle", "used sed (failed)", 1, 0)


def test_a_lost_agent_is_lost_until_its_late_word_which_counts_once() -> None:
    [lost] = view(after(started("a"), LOST)).agents
    assert (lost.doing, lost.finished, lost.failed) == ("lost", 1, 1)
    [back] = view(after(started("a"), LOST, finished("a"))).agents
    assert (back.doing, back.finished, back.failed) == ("idle", 1, 1)


def test_words_about_an_earlier_attempt_do_not_touch_the_present_one() -> None:
    scene = after(started("a"), started("b"), finished("a"), AttemptProgressed(task="a", attempt=1, message="late"))
    [agent] = view(scene).agents
    assert (agent.doing, agent.task, agent.saying) == ("working", "b", "")


def test_one_agent_on_two_workers_is_two() -> None:
    agents = view(after(started("b", worker="w2"), started("a"))).agents
    assert [(agent.worker, agent.task) for agent in agents] == [("w1", "a"), ("w2", "b")]


def test_notes_are_kept_by_task_and_field_and_the_newest_counts() -> None:
    notes = [AgentRemembered(task="a", attempt=n, field=f, value=n) for n, f in ((1, "y"), (2, "x"), (3, "y"))]
    shown = view(after(*notes)).scratchpads
    assert shown == {"a": {"x": 2, "y": 3}}
    assert list(shown["a"]) == ["x", "y"]
