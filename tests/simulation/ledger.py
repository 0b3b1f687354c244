"""A second book-keeping of every mission, kept from the log alone and by other rules than production code folds by.

It knows nothing of agendas, counters or floors: only what was said, in which order, and what the plan says. Because it
is not the fold, a fold that forgets something is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from schemas.attempts import Failure
from schemas.events.attempt import AttemptFinished
from schemas.events.mission import MissionExtended
from schemas.events.task import TaskReplanned
from schemas.expectations import ExitCode, MaxDuration, OutputHas
from schemas.plan import ROOT_GOAL, GoalSpec, Group, Plan, RecoveryRule, TaskSpec
from schemas.signals import Stop
from tests.simulation.waits import borne

type Place = tuple[int, int]
"""Sequence and index of an event."""


class Broken(AssertionError):
    """A law does not hold.

    Attributes:
        law: its name, for whoever compares two failures.
        key: tenant and mission.
    """

    def __init__(self, law: str, key: tuple[str, str], detail: str) -> None:
        super().__init__(f"{law}: {detail} (mission {'/'.join(key)})")
        self.law, self.key = law, key


@dataclass
class Span:
    """The time of a stop, in true virtual seconds: from when it was first said, on record since ``place``, until it was
    lifted; ``trip`` for one by a safety constraint."""

    stop: Stop
    since: float
    place: Place | None = None
    recorded: float | None = None
    until: float | None = None
    trip: bool = False


@dataclass
class TaskBook:
    """What was said of one task.

    Attributes:
        attempt: newest announced; ``granted`` is the newest that a retry has allowed. Those up to ``forgiven`` were
            made before the mission was reopened, and ``spared`` of those since do not count against the budget.
        verdicts: attempt to its first verdict: None if it is confirmed, else why it failed.
        reports: attempt to its first report.
        expects: what a feature expects of its attempts beyond the plan, as a function of a report that gives flaws.
        recovered: rules that were followed since it was reopened.
        waits_for_planner: whether it is stuck; ``parts`` are done instead of it, and ``end`` stands for it.
        asking, refused: the attempt over which a person is asked, and the one that a person gave up; 0 for none.
        skill, advice: who shall make the next attempt, and what a person said to it.
        given: attempt to the worker that it was given to; ``begun`` are those at which an agent was set to work.
        ready_at, began_at: attempt to the true time at which the log took the fact, in seconds.
    """

    spec: TaskSpec
    attempt: int = 0
    forgiven: int = 0
    granted: int = 1
    ended: str = ""
    reports: dict[int, AttemptFinished] = field(default_factory=dict)
    verdicts: dict[int, Failure | None] = field(default_factory=dict)
    dispatched: set[int] = field(default_factory=set)
    workers: dict[int, str] = field(default_factory=dict)
    given: dict[int, str] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    ready_at: dict[int, float] = field(default_factory=dict)
    began_at: dict[int, float] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    expects: list[Callable[[AttemptFinished], Iterable[str]]] = field(default_factory=list)
    spared: int = 0
    recovered: list[int] = field(default_factory=list)
    waits_for_planner: bool = False
    parts: tuple[str, ...] = ()
    end: str = ""
    asking: int = 0
    refused: int = 0
    skill: str = ""
    advice: str = ""

    def __post_init__(self) -> None:
        self.skill = self.spec.skill

    def judge(self, attempt: int, failure: Failure | None) -> None:
        """The first verdict of the present attempt counts."""
        if attempt == self.attempt and attempt not in self.verdicts and not self.ended:
            self.verdicts[attempt] = failure

    def flaws(self, attempt: int) -> set[str]:
        """The categories of what is not as expected in a report."""
        report = self.reports[attempt]
        return set(flaws(self.spec, report)).union(*(expected(report) for expected in self.expects))

    @property
    def deaths(self) -> list[tuple[int, str]]:
        """Attempts over which workers were lost since it was last reopened, and the workers."""
        lost = [a for a, v in self.verdicts.items() if v is not None and v.code == "worker_lost" and a > self.forgiven]
        return [(attempt, self.given.get(attempt) or self.workers[attempt]) for attempt in lost]

    @property
    def made(self) -> int:
        """Attempts that count against the budget."""
        return self.attempt - self.forgiven - self.spared

    def most(self, code: str | None = None) -> int:
        """The budget of attempts after a failure of this code, or after any."""
        retry = self.spec.retry
        if code is not None:
            return retry.after(code).max_attempts
        return max(retry.after(code).max_attempts for code in ("", *retry.by_error))


@dataclass
class GoalBook:
    """What was said of one goal; ``ended`` is "", ``achieved`` or ``failed``."""

    spec: GoalSpec
    ended: str = ""
    ended_at: Place = (0, 0)


@dataclass
class Book:
    """What was said of one mission.

    Attributes:
        branches: group to its branches, once it has unfolded.
        ended: "", ``completed``, ``failed`` or ``cancelled``; ``ended_at`` is where that was said.
        paused_at: where the present pause begins; None if there is none.
        begun: task or group to when it, or the first of its tasks, was ready first; ``began``: when the mission was.
    """

    key: tuple[str, str]
    submission: str = ""
    plan: Plan | None = None
    tasks: dict[str, TaskBook] = field(default_factory=dict)
    goals: dict[str, GoalBook] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    branches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ended: str = ""
    ended_at: Place = (0, 0)
    paused_at: Place | None = None
    part_of: dict[str, str] = field(default_factory=dict)
    carried_out: set[str] = field(default_factory=set)
    begun: dict[str, datetime] = field(default_factory=dict)
    began: datetime | None = None

    def begin(self, plan: Plan) -> None:
        """Take in the plan."""
        self.plan = plan
        self.tasks = {spec.id: TaskBook(spec) for spec in plan.tasks}
        self.groups = {group.id: group for group in plan.groups}
        groups = [
            GoalSpec(id=group.id, parent=group.goal, optional=borne(self.nodes(), group.id)) for group in plan.groups
        ]
        for spec in (GoalSpec(id=ROOT_GOAL, parent=None), *plan.goals, *groups):
            self.goals[spec.id] = GoalBook(spec)

    def extend(self, event: MissionExtended) -> None:
        """Take in the branches of a group."""
        self.branches[event.group] = event.branches
        self.tasks.update({spec.id: TaskBook(spec) for spec in event.tasks})
        self.goals.update({spec.id: GoalBook(spec) for spec in event.goals})

    def replan(self, event: TaskReplanned) -> None:
        """Take in what is done instead of a task."""
        task = self.tasks[event.task]
        task.waits_for_planner, task.end = False, event.end
        task.parts = tuple(part.id for part in event.tasks)
        self.tasks.update({part.id: TaskBook(part) for part in event.tasks})
        self.part_of.update(dict.fromkeys(task.parts, event.task))

    def depth(self, name: str) -> int:
        """How many tasks it is a part of, one a part of the next."""
        return 0 if name not in self.part_of else 1 + self.depth(self.part_of[name])

    def stands_for(self, name: str) -> str:
        """The task whose report is that of ``name``: itself, or the end of what was done instead."""
        return self.stands_for(self.tasks[name].end) if self.tasks[name].end else name

    def nodes(self) -> Iterator[TaskSpec | Group]:
        """All tasks and groups, as they are planned."""
        yield from (task.spec for task in self.tasks.values())
        yield from self.groups.values()

    def begin_task(self, name: str, at: datetime) -> None:
        """A task was ready, or taken over, for the first time."""
        self.begun.setdefault(name, at)
        for goal in self.path(self.tasks[name].spec.goal):
            if goal in self.groups:
                self.begun.setdefault(goal, at)

    def reopen(self, named: tuple[str, ...]) -> None:
        """What has not succeeded may be tried again."""
        self.ended, self.ended_at, self.paused_at = "", (0, 0), None
        again = [name for name in self.tasks if name not in self.part_of and self._waits_again(name, named)]
        for name in again:
            task = self.tasks[name]
            task.waits_for_planner, task.parts, task.end = False, (), ""
            task.ended, task.forgiven, task.granted = "", task.attempt, task.attempt + 1
            task.spared = task.asking = task.refused = 0
            task.recovered, task.skill, task.advice = [], task.spec.skill, ""
            self.begun.pop(name, None)
            task.verdicts.setdefault(task.attempt, Failure(code="reopened", message="it was reopened"))
        for goal in self.goals.values():
            # A failed goal is open again; of the achieved ones, those with something open below.
            if goal.ended != "achieved" or not self._at_rest(goal.spec.id):
                goal.ended = ""
                self.begun.pop(goal.spec.id, None)

    def _waits_again(self, name: str, named: tuple[str, ...]) -> bool:
        """A member that was not needed any more waits again only with its owner."""
        task = self.tasks[name]
        if name in named or task.ended in ("succeeded", "failed"):
            return name in named
        return task.spec.member_of not in self.tasks or self._waits_again(task.spec.member_of, named)

    def _at_rest(self, goal: str) -> bool:
        groups = (group for group in self.groups if group not in self.branches and goal in self.path(group))
        return all(task.ended for _, task in self.below(goal)) and not any(groups)

    def path(self, goal: str) -> Iterator[str]:
        """A goal and all above it."""
        current: str | None = goal
        while current is not None:
            yield current
            current = self.goals[current].spec.parent

    def below(self, goal: str) -> Iterator[tuple[str, TaskBook]]:
        """The tasks of a goal and of all goals below it."""
        for name, task in self.tasks.items():
            if goal in self.path(task.spec.goal) and name not in self.part_of:
                yield name, task

    def given_up(self, goal: str) -> GoalBook | None:
        """The goal, or the nearest above it, that has failed."""
        return next((self.goals[name] for name in self.path(goal) if self.goals[name].ended == "failed"), None)

    def failures(self, goal: str) -> int:
        """What failed directly below."""
        planned = [t for name, t in self.tasks.items() if name not in self.part_of and not t.spec.member_of]
        down = [t.spec.id for t in planned if t.spec.goal == goal and t.ended in ("failed", "skipped")]
        bad = sum(not borne(self.nodes(), name) for name in down)
        required = (g for g in self.goals.values() if g.spec.parent == goal and not g.spec.optional)
        return bad + sum(g.ended == "failed" for g in required)

    def rule_for(self, task: TaskBook) -> tuple[int, RecoveryRule | None]:
        """The first rule that fits what was wrong with the present attempt and has not been used up; its number."""
        verdict = task.verdicts.get(task.attempt)
        if verdict is None or verdict.code != "violated" or self.plan is None:
            return -1, None
        found = task.flaws(task.attempt)
        for number, rule in enumerate((*task.spec.recover, *self.plan.recover)):
            if rule.category in ("any", *found) and task.recovered.count(number) < rule.times:
                return number, rule
        return -1, None

    def came_about(self, need: str) -> bool:
        """Whether what a task needs is there."""
        if need in self.tasks:
            return self.tasks[need].ended == "succeeded"
        return need in self.branches and all(t.ended for _, t in self.below(need))

    def lost(self, need: str) -> bool:
        """Whether what a task needs will never be there."""
        if need in self.tasks:
            return self.tasks[need].ended not in ("", "succeeded")
        return need not in self.branches and self.given_up(need) is not None

    def settled(self) -> bool:
        """Whether the mission and all its tasks have ended."""
        return bool(self.ended) and all(task.ended for task in self.tasks.values())


def flaws(spec: TaskSpec, report: AttemptFinished) -> Iterator[str]:
    """The categories of what is not as expected in a report; for the expectations that simulated plans have."""
    seen = report.observation
    for expected in spec.expects:
        if report.is_offer and not isinstance(expected, MaxDuration):
            continue  # of what is handed on, only what forbids something is asked
        match expected:
            case OutputHas():
                if any(report.output.get(key) is None for key in expected.keys):
                    yield "schema_broken"
            case ExitCode():
                if seen.exit_code != expected.code:
                    yield "false_done" if seen.exit_code is None else "wrong_result"
            case MaxDuration():
                if seen.duration_s > expected.seconds:
                    yield "limit_exceeded"
            case _:
                raise NotImplementedError(f"simulated plans have no {expected.kind}")
