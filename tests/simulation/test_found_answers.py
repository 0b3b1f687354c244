"""A bug about answers that the simulation has found, as the shortest course that shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from immutables import Map
from msgspec.structs import replace

from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskStatus
from schemas.commands import AnswerTask, SubmitMission
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _asking(mission: Mission, attempt: int) -> Mission:
    task = replace(mission.tasks["a"], status=TaskStatus.ASKING, attempt=attempt)
    return replace(mission, tasks=Map({"a": task}))


def test_an_answer_that_is_delivered_again_answers_no_later_question() -> None:
    """Its answer was lost, so it came again, when the next attempt had already led to the next question."""
    mission = Mission(tenant="default", id="m")
    submit = SubmitMission(id=uuid7(), mission="m", objective="o", plan=Plan(tasks=(TaskSpec(id="a", skill="s"),)))
    for payload in decide(mission, submit, NOW, plan=submit.plan):
        mission = evolve(mission, Fact(payload, NOW, cause=submit.id))
    answer = AnswerTask(id=uuid7(), mission="m", task="a")
    mission = _asking(mission, 1)
    (answered,) = decide(mission, answer, NOW)
    mission = evolve(mission, Fact(answered, NOW, cause=answer.id))
    assert decide(mission, answer, NOW) == [], "granted already: nobody is told that it was refused"
    mission = _asking(mission, 2)
    assert decide(mission, answer, NOW) == []
    assert len(decide(mission, answer.model_copy(update={"id": uuid7()}), NOW)) == 1
