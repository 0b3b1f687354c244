"""Forks, case by case: lists that change, results that move to another branch, failures, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.adopting import fingerprint
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus
from schemas.attempts import Failure
from schemas.commands import ForkMission
from schemas.errors import Refused
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.mission import MissionCompleted, MissionExtended, MissionFailed, MissionPlanned, MissionSubmitted
from schemas.events.task import TaskFailed, TaskReady, TaskSucceeded
from schemas.expectations import Observation
from schemas.forks import ForkChange
from schemas.plan import GoalSpec, Group, Plan, TaskSpec
from tests.core.fork_play import ForkPlay, recording_of
from tests.core.mission_play import BEGIN

SAY = TaskSpec(id="say", skill="echo", inputs={"text": "${inputs.greeting}, ${name.who}!"})
PLAN = Plan(
    tasks=(
        TaskSpec(id="gather", skill="echo"),
        TaskSpec(id="summary", skill="echo", inputs={"all": "${greet[*].say.output.text}"}, needs=("greet",)),
        TaskSpec(id="aside", skill="echo", inputs={"greeting": "${inputs.greeting}"}),
    ),
    groups=(Group(id="greet", items="${gather.output.names}", needs=("gather",), variable="name", tasks=(SAY,)),),
    result={"all": "${summary.output.all}"},
)


def people(*names: str) -> list[dict[str, str]]:
    """Items without an id: branches are called by their numbers."""
    return [{"who": name} for name in names]


def made(task: str, output: dict[str, Any], inputs: dict[str, Any] | None = None, attempt: int = 1) -> list[Payload]:
    said = AttemptFinished(task=task, attempt=attempt, worker="w", outcome="succeeded", output=output)
    ready = TaskReady(task=task, attempt=attempt, skill="echo", inputs=inputs or {})
    return [ready, said, TaskSucceeded(task=task, attempt=attempt)]


def origin_facts() -> list[Fact]:
    """``gather`` ends by event 5, the mission by event 19."""
    names = people("Ada", "Grace", "Barbara")
    payloads: list[Payload] = [
        MissionSubmitted(objective="Greet", workflow="", inputs={"greeting": "Hello"}),
        MissionPlanned(plan=PLAN, planned_at=BEGIN),
        *made("gather", {"names": names, "count": 3}),
        MissionExtended(
            group="greet",
            branches=("1", "2", "3"),
            items=tuple(names),
            goals=tuple(GoalSpec(id=f"greet.{n}", title=str(n), parent="greet") for n in (1, 2, 3)),
            tasks=tuple(SAY.model_copy(update={"id": f"greet.{n}.say", "goal": f"greet.{n}"}) for n in (1, 2, 3)),
        ),
    ]
    for number, name in enumerate(names, 1):
        text = f"Hello, {name['who']}!"
        payloads += made(f"greet.{number}.say", {"text": text}, {"text": text})
    payloads += made("summary", {"all": "three"}, {"all": [f"Hello, {name['who']}!" for name in names]})
    payloads += [*made("aside", {}, {"greeting": "Hello"}), MissionCompleted(result={"all": "three"})]
    return [Fact(payload, BEGIN, number, f"e{number}") for number, payload in enumerate(payloads, 1)]


def wish(at: int, *changes: tuple[str, Any], **more: Any) -> ForkMission:
    made = tuple(ForkChange(path=path, value=value) for path, value in changes)
    return ForkMission(id="f0", mission="f", origin="m", at=at, changes=made, **more)


def forked(at: int, *changes: tuple[str, Any], **more: Any) -> ForkPlay:
    play = ForkPlay(wish(at, *changes, **more), recording_of(origin_facts(), at)).to_the_end()
    assert play.state.status is MissionStatus.COMPLETED, play.state.failure
    return play


def test_the_origin_is_a_mission_that_completed() -> None:
    state = Mission(tenant="t", id="m")
    for fact in origin_facts():
        state = evolve(state, fact)
    assert state.status is MissionStatus.COMPLETED


def test_a_changed_list_unfolds_anew_and_results_move_with_their_items() -> None:
    play = forked(5, ("task.gather.output.names", people("Grace", "Alan", "Ada")))
    assert set(play.executed) == {"greet.2.say", "summary"}
    assert play.adopted["gather"].output == {"names": people("Grace", "Alan", "Ada"), "count": 3}
    assert play.adopted["greet.1.say"].origin_task == "greet.2.say"
    assert play.adopted["greet.3.say"].origin_task == "greet.1.say"


def test_a_part_of_an_output_deep_inside_is_changed() -> None:
    play = forked(5, ("task.gather.output.names[1].who", "Alan"))
    assert set(play.executed) == {"greet.2.say", "summary"}


def test_a_changed_input_reaches_what_refers_to_it_and_nothing_else() -> None:
    play = forked(5, ("inputs.greeting", "Salute"))
    assert set(play.adopted) == {"gather"}
    assert set(play.executed) == {"greet.1.say", "greet.2.say", "greet.3.say", "summary", "aside"}
    assert play.executed["greet.1.say"].inputs == {"text": "Salute, Ada!"}


def test_what_comes_out_the_same_stops_the_change() -> None:
    """``greet.1.say`` is executed anew; ``summary`` is given what it made, which is what it was given before."""
    play = forked(5, rerun=("greet.1.say",))
    assert set(play.executed) == {"greet.1.say"}
    assert play.state.result == {"all": "three"}


def test_fresh_takes_nothing_that_was_recorded_later() -> None:
    play = forked(9, fresh=True)
    assert set(play.adopted) == {"gather", "greet.1.say"}


def test_a_plan_may_be_another_one() -> None:
    plan = PLAN.model_copy(update={"tasks": (*PLAN.tasks, TaskSpec(id="more", skill="echo", needs=("summary",)))})
    play = forked(18, plan=plan)
    assert set(play.executed) == {"more"}


def failing() -> list[Fact]:
    failure = Failure(code="x", message="no luck")
    plan = Plan(tasks=(TaskSpec(id="only", skill="s"), TaskSpec(id="next", skill="s", needs=("only",))))
    payloads: list[Payload] = [
        MissionSubmitted(objective="o", workflow=""),
        MissionPlanned(plan=plan, planned_at=BEGIN),
        TaskReady(task="only", attempt=1, skill="s"),
        AttemptFinished(task="only", attempt=1, worker="w", outcome="failed", failure=failure),
        TaskFailed(task="only", attempt=1, failure=failure),
        MissionFailed(failure=failure),
    ]
    return [Fact(payload, BEGIN, number, f"e{number}") for number, payload in enumerate(payloads, 1)]


def test_what_had_failed_stays_failed_and_what_failed_later_is_tried() -> None:
    after = ForkPlay(wish(5), recording_of(failing(), 5)).to_the_end()
    assert after.state.status is MissionStatus.FAILED
    assert after.executed == {}
    assert after.state.tasks["only"].reason == "no luck"
    before = ForkPlay(wish(4), recording_of(failing(), 4)).to_the_end()
    assert before.state.status is MissionStatus.COMPLETED
    assert set(before.executed) == {"only", "next"}
    as_if = ForkPlay(wish(5, ("task.only.output", {"n": 3})), recording_of(failing(), 5)).to_the_end()
    assert as_if.state.status is MissionStatus.COMPLETED
    assert set(as_if.executed) == {"next"}


@pytest.mark.parametrize(
    ("at", "path", "value", "said"),
    [
        (99, "", None, "has no event 99"),
        (1, "", None, "was not planned yet"),
        (5, "task.nobody.output", {}, "there was no task 'nobody'"),
        (5, "task.greet.1.say.output", {}, "there was no task"),
        (19, "task.gather.output", 3, "must be an object"),
        (19, "inputs", 3, "must be an object"),
        (19, "task.gather.output.names[7].who", "x", "leads nowhere"),
        (19, "task.gather.output.count.deeper", "x", "leads nowhere"),
        (19, "task.gather.attempt", 2, "only the output"),
        (19, "task.gather.output.names[*]", 2, "nothing that a fork can change"),
        (19, "objective", "x", "nothing that a fork can change"),
        (19, "task..output", "x", "is no path"),
        (19, "task", "x", "there was no task"),
    ],
)
def test_what_fits_nothing_is_refused_and_says_why(at: int, path: str, value: Any, said: str) -> None:
    changes = [(path, value)] if path else []
    with pytest.raises(Refused, match=said):
        ForkPlay(wish(at, *changes), recording_of(origin_facts(), at))


def test_a_part_of_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="has no output of which a part") as raised:
        ForkPlay(wish(5, ("task.only.output.n", 1)), recording_of(failing(), 5))
    assert raised.value.hint == "give it a whole one: task.only.output={…}"
    with pytest.raises(Refused, match="no task 'never' to run anew"):
        ForkPlay(wish(5, rerun=("never",)), recording_of(failing(), 5))


def test_trees_are_the_same_by_content_whatever_they_travel_in() -> None:
    tree = {"tree": "a" * 40, "packs": ["sha256:1"], "files": 1, "size_bytes": 2}
    one = TaskReady(task="t", attempt=1, skill="s", workspace=tree, inputs={"sides": [tree], "n": 1})
    moved = {**tree, "packs": ["sha256:2", "sha256:3"]}
    other = TaskReady(task="u", attempt=3, skill="s", workspace=moved, inputs={"n": 1, "sides": [moved]}, priority=9)
    assert fingerprint(one) == fingerprint(other)
    for different in ({"skill": "x"}, {"intent": "x"}, {"inputs": {}}, {"workspace": {**tree, "tree": "b" * 40}}):
        assert fingerprint(one.model_copy(update=different)) != fingerprint(one)


def test_what_was_observed_goes_along_with_the_result() -> None:
    facts = origin_facts()
    seen = Observation(tests={"passed": 3}, changes={"a.py": "modified"})
    said = facts[3].payload.model_copy(update={"observation": seen, "product": {"tree": "t"}})
    facts[3] = facts[3]._replace(payload=said)
    play = ForkPlay(wish(19), recording_of(facts, 19)).to_the_end()
    finished = play.state.tasks["gather"].finished
    assert finished is not None
    assert (finished.observation, finished.product, finished.worker) == (seen, {"tree": "t"}, "w")
