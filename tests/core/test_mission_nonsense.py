"""Folding never fails and deciding never fails, whatever well-formed facts somebody puts on the bus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.advance import advance
from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission
from schemas.attempts import Failure
from schemas.ballots import ChoiceSpec, Elector, Terms, Turnout, VoteSpec
from schemas.events import Payload
from schemas.events import action as actions
from schemas.events import attempt as attempts
from schemas.events import ballot as ballots
from schemas.events import goal as goals
from schemas.events import mission as missions
from schemas.events import task as tasks
from schemas.events import world as worlds
from schemas.expectations import Violation
from schemas.forks import ForkedFrom, RecordedResult
from schemas.handoff import HandOff
from schemas.plan import GoalSpec, Group, Plan, TaskSpec
from tests.core.mission_plans import make_plan
from tests.core.settled_plans import OPTIONS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = ForkedFrom(mission="other", at=3)


def _about_handing_on(rng: Random, task: str, attempt: int, failure: Failure) -> tuple[Payload, ...]:
    number = rng.randint(1, 3)
    return (
        tasks.TaskHandedOver(task=task, attempt=attempt, giver="s", skill="other", why="?", number=number),
        tasks.TaskHandedBack(task=task, attempt=attempt, skill="s", to="other", failure=failure, number=number),
    )


def anything(rng: Random, mission: Mission) -> Payload:
    """Some fact of a type that is folded, about something that is there or not."""
    task = rng.choice([*sorted(mission.tasks), "nobody"])
    goal = rng.choice([*sorted(mission.goals), "nobody", "mission"])
    attempt = rng.randint(0, 3)
    failure = Failure(code="x", message="?", retryable=rng.random() < 0.5)
    facts: dict[str, Payload] = {
        made.TYPE: made
        for made in (
            missions.MissionSubmitted(objective="o", workflow="", forked_from=rng.choice((None, ORIGIN))),
            missions.MissionForked(origin=ORIGIN, results=_results(rng, task)),
            missions.MissionPlanned(plan=_plan(rng), planned_at=NOW),
            _extension(rng, mission, goal),
            missions.MissionPaused(),
            missions.MissionResumed(),
            missions.MissionReopened(tasks=(task,) if rng.random() < 0.7 else ()),
            missions.MissionCompleted(),
            missions.MissionFailed(failure=failure),
            missions.MissionCancelled(),
            tasks.TaskReady(task=task, attempt=attempt, skill="s"),
            tasks.TaskAdopted(
                task=task,
                attempt=attempt,
                origin="other",
                origin_task=rng.choice((task, "nobody")),
                fingerprint="f",
                failure=rng.choice((None, failure)),
            ),
            tasks.TaskRetried(task=task, attempt=attempt, not_before=NOW, failure=failure),
            *_about_handing_on(rng, task, attempt, failure),
            tasks.TaskSucceeded(task=task, attempt=attempt),
            tasks.TaskFailed(task=task, attempt=attempt, failure=failure),
            tasks.TaskSkipped(task=task, reason="?"),
            tasks.TaskCancelled(task=task, reason="?"),
            goals.GoalAchieved(goal=goal),
            goals.GoalFailed(goal=goal, failure=failure),
            attempts.AttemptFinished(
                task=task,
                attempt=attempt,
                worker="w",
                outcome=rng.choice(("succeeded", "failed", "handed_off")),
                hand_off=rng.choice((None, HandOff(to=rng.choice(("s", "other")), why="?"))),
            ),
            worlds.WorldConfirmed(task=task, attempt=attempt),
            worlds.WorldViolated(task=task, attempt=attempt, violations=(Violation(kind="k", message="m"),)),
            worlds.WorldTripped(rule="r", message="m", task=task, attempt=attempt),
            tasks.TaskAsked(task=task, attempt=attempt, question="?", rule=rng.randint(-1, 2)),
            *_about_the_planner(rng, mission, task, attempt),
            tasks.TaskAnswered(task=task, attempt=attempt, decision=rng.choice(("retry", "fail"))),
            actions.ActionExpired(task=task, attempt=attempt, failure=failure),
            actions.ActionRefused(task=task, attempt=attempt, failure=failure),
            *about_ballots(rng, mission, task, attempt),
        )
    }
    assert tuple(sorted(facts)) == FOLDED_TYPES, "a type that is folded is not tried here"
    return facts[rng.choice(FOLDED_TYPES)]


def about_ballots(rng: Random, mission: Mission, task: str, attempt: int) -> tuple[Payload, ...]:
    """Some facts about a ballot, or a choice."""
    name, number = rng.choice([*sorted(mission.ballots), task, "nobody"]), max(1, attempt)
    voter = rng.choice(("ann", "w", task, f"{name}.1"))
    electors = (Elector(name="ann"), Elector(name="nobody", kind="task"), Elector(name="w", kind="agent"))
    terms = Terms(question="?", options=OPTIONS, electorate=electors, undecided=rng.choice(("ask", "fail")))
    seen = Turnout(voted=1, members=3, weight=1, of=3)
    winner = rng.choice([*sorted(mission.tasks), ""])
    output = rng.choice((None, {"n": 1}))
    round_ = rng.randint(1, 2)
    return (
        ballots.BallotOpened(ballot=name, round=round_, terms=terms, closes_at=NOW, task=rng.random() < 0.5),
        ballots.BallotCast(ballot=name, round=round_, voter=voter, ranking=("a",), number=number, task=task),
        ballots.BallotRefused(ballot=name, round=round_, voter=voter, why="?", number=number, task=task, said="e5"),
        ballots.BallotDecided(ballot=name, round=round_, choice=rng.choice(("a", "z")), turnout=seen),
        ballots.BallotLapsed(ballot=name, round=round_, why="?", turnout=seen, then=rng.choice(("ask", "fail"))),
        attempts.AttemptVoted(
            task=task, attempt=attempt, worker="w", agent="w", ballot=name, vote=rng.choice(({"choice": "a"}, {}))
        ),
        tasks.TaskChosen(task=task, attempt=attempt, pick="first", winner=winner, output=output),
    )


def _results(rng: Random, task: str) -> tuple[RecordedResult, ...]:
    made = RecordedResult(task=task, attempt=1, fingerprint="f", changed=rng.random() < 0.5, output={"n": 1})
    return (made, *(made,) * rng.randint(0, 1))


def _plan(rng: Random) -> Plan:
    names = ["mission", "g", "h", "nobody"]
    if rng.random() < 0.5:
        return make_plan(rng, rng.randint(0, 5))
    return Plan(
        goals=tuple(
            GoalSpec(id=rng.choice(names), parent=rng.choice([*names, None])) for _ in range(rng.randint(0, 3))
        ),
        tasks=tuple(
            TaskSpec(
                id=rng.choice(names),
                skill="s",
                goal=rng.choice(names),
                needs=(rng.choice(names),),
                settle=rng.choice(
                    (
                        None,
                        ChoiceSpec(of=(rng.choice(names),), pick="vote", by="h"),
                        ChoiceSpec(of=(rng.choice(names),), pick="ballot", by=rng.choice(names)),
                        VoteSpec(question="?", options=("a",), electorate=(Elector(name="g", kind="task"),)),
                    )
                ),
                member_of=rng.choice(("", *names)),
            )
            for _ in range(rng.randint(0, 3))
        ),
        groups=tuple(Group(id=rng.choice(names), items="${x", tasks=(), goal=rng.choice(names)) for _ in range(1)),
        result={"r": "${x"},
    )


def _about_the_planner(rng: Random, mission: Mission, task: str, attempt: int) -> tuple[Payload, Payload]:
    failure = Failure(code="x", message="?")
    stuck = tasks.TaskStuck(task=task, attempt=attempt, failure=failure, rule=rng.randint(-1, 2))
    return stuck, _replanned(rng, mission, task, attempt)


def _replanned(rng: Random, mission: Mission, task: str, attempt: int) -> tasks.TaskReplanned:
    state = mission.tasks.get(task)
    prefix = f"{task}~{(state.rounds if state is not None else 0) + rng.choice((1, 1, 1, 2))}."
    names = [prefix + rng.choice("abc") for _ in range(rng.randint(0, 3))]
    parts = tuple(
        TaskSpec(
            id=name,
            skill="s",
            goal=state.spec.goal if state is not None and rng.random() < 0.9 else "nobody",
            needs=tuple(rng.sample([*names, task, "c"], rng.choice((0, 0, 1)))),
        )
        for name in names
    )
    return tasks.TaskReplanned(task=task, attempt=attempt, tasks=parts, end=rng.choice([*names, "nobody"]), by="?")


def _extension(rng: Random, mission: Mission, goal: str) -> missions.MissionExtended:
    group = rng.choice([*sorted(mission.groups), "nobody"])
    branches = tuple(rng.choice("abc") for _ in range(rng.randint(0, 2)))
    return missions.MissionExtended(
        group=group,
        branches=branches,
        items=branches if rng.random() < 0.8 else (),
        goals=tuple(GoalSpec(id=f"{group}.{branch}", parent=rng.choice((group, goal))) for branch in branches),
        tasks=tuple(TaskSpec(id=f"{group}.{branch}.s0", skill="s", goal=f"{group}.{branch}") for branch in branches),
    )


@settings(deadline=None, derandomize=True, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), facts=st.integers(1, 60))
def test_nothing_ever_raises(seed: int, facts: int) -> None:
    rng, now = Random(seed), NOW
    mission = Mission(tenant="t", id="m")
    if rng.random() < 0.7:
        origin = rng.choice((None, ORIGIN))
        begun = missions.MissionSubmitted(objective="o", workflow="", forked_from=origin)
        mission = evolve(mission, Fact(begun, now, 1, "e1", "c1"))
        planned = missions.MissionPlanned(plan=make_plan(rng, rng.randint(1, 6)), planned_at=now)
        mission = evolve(mission, Fact(planned, now, 2, "e2", "c1"))
    for number in range(3, facts + 3):
        mission = evolve(mission, Fact(anything(rng, mission), now, number, f"e{number}"))
        if rng.random() < 0.3:
            for payload in advance(mission, now):
                mission = evolve(mission, Fact(payload, now))
        now += timedelta(seconds=rng.choice((0, 0, 1, 30)))
    advance(mission, now)
