"""The state of one mission: a frozen value, folded from its events and from nothing else.

The values are msgspec structures and persistent maps: changing one field of a mission with ten thousand tasks costs a
microsecond and shares the rest. Frozen dataclasses took ten times as long.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from immutables import Map
from msgspec import Struct, field
from msgspec.structs import replace

from schemas.attempts import Death, Failure
from schemas.ballots import Terms, Vote
from schemas.events.attempt import AttemptFinished, AttemptVoted
from schemas.expectations import Violation
from schemas.forks import ForkedFrom, RecordedResult
from schemas.handoff import Handed
from schemas.plan import GoalSpec, Group, Plan, TaskSpec


class MissionStatus(StrEnum):
    """Where a mission stands."""

    NEW = "new"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (MissionStatus.COMPLETED, MissionStatus.FAILED, MissionStatus.CANCELLED)


class TaskStatus(StrEnum):
    """Where a task stands.

    ``READY`` lasts from the announcement of an attempt to its verdict, ``VOTING`` from the opening of a ballot to its
    outcome, ``STUCK`` until the planner has answered, ``REPLACED`` until the tasks that are done instead have ended.
    """

    WAITING = "waiting"
    READY = "ready"
    RETRYING = "retrying"
    ASKING = "asking"
    VOTING = "voting"
    STUCK = "stuck"
    REPLACED = "replaced"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in _ENDED


MOST_OBEYED = 100
"""Of how many commands a mission knows that it has carried them out: more than are ever under way at a time."""
_ENDED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED})


class GoalStatus(StrEnum):
    """Where a goal stands."""

    OPEN = "open"
    ACHIEVED = "achieved"
    FAILED = "failed"


class Verdict(Struct, frozen=True):
    """What is known of the present attempt: it is confirmed, or it failed for this reason."""

    failure: Failure | None = None
    violations: tuple[Violation, ...] = ()
    refused: bool = False  # the intent could not become an action


class Tally(Struct, frozen=True):
    """What a barrier counts: units that came about, never will, are still open; groups that have not unfolded.

    ``first`` is the moment in which the first of its needs began.
    """

    met: int = 0
    lost: int = 0
    open: int = 0
    unknown: int = 0
    first: datetime | None = None


class TaskState(Struct, frozen=True):
    """One task.

    Attributes:
        unmet: how many of its needs have not come about yet; not counted behind a barrier.
        tally: behind a barrier, what it counts.
        hopeless: something it needs ended without success, so it will never run.
        attempt: number of the newest announced attempt; 0 before the first.
        forgiven: attempts made before the task was reopened, or ended by an emergency stop; they do not count.
        refers: whether its specification holds references.
        recovered: numbers of the recovery rules that were followed, once for each time; -1 for asking the planner
            because the intent was refused.
        rounds: how often it was replanned; ``parts`` are the tasks of the newest round, ``end`` is the one of them that
            stands for it as long as it is replaced.
        feedback, advice: what the next attempt is told.
        skill: who shall make the next attempt, if not the skill of the specification.
        handed: what the next attempt is told of the one that handed the task on; it begins with that one's workspace.
        offers: how many times an attempt has offered the task to others.
        answers: ids of the commands by which a person answered; one that comes again answers no later question.
        deaths: workers lost over it since it was last reopened.
        finished: the report of the present attempt, as long as it is not judged; of the attempt that counts afterwards.
        adopted: the mission in which it was executed, if not in this one.
    """

    spec: TaskSpec
    status: TaskStatus = TaskStatus.WAITING
    unmet: int = 0
    tally: Tally | None = None
    hopeless: str = ""
    attempt: int = 0
    forgiven: int = 0
    refers: bool = False
    recovered: tuple[int, ...] = ()
    feedback: tuple[Violation, ...] = ()
    advice: str = ""
    skill: str = ""
    handed: Handed | None = None
    offers: int = 0
    answers: tuple[str, ...] = ()
    rounds: int = 0
    parts: tuple[str, ...] = ()
    end: str = ""
    deaths: tuple[Death, ...] = ()
    verdict: Verdict | None = None
    finished: AttemptFinished | None = None
    failure: Failure | None = None
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    adopted: str = ""


class GoalState(Struct, frozen=True):
    """One goal with its progress, rolled up from everything below it.

    Attributes:
        pending: tasks below that have not ended, and groups below that have not unfolded.
        failures: failed or skipped tasks and failed required goals directly below.
    """

    spec: GoalSpec
    status: GoalStatus = GoalStatus.OPEN
    pending: int = 0
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    failures: int = 0
    failure: Failure | None = None
    begun_at: datetime | None = None

    @property
    def progress(self) -> float:
        """Share of the tasks below that have ended, from 0 to 1."""
        open_tasks = self.total - self.succeeded - self.failed
        return 1.0 if self.total == 0 else 1.0 - open_tasks / self.total


class GroupState(Struct, frozen=True):
    """A group, and once it has unfolded its branches with their items and how many of its tasks have not ended.

    ``given_up`` says why it will never unfold: its goal, or one above, failed before.
    """

    spec: Group
    unmet: int = 0
    tally: Tally | None = None
    hopeless: str = ""
    given_up: str = ""
    branches: tuple[str, ...] | None = None
    items: tuple[Any, ...] = ()
    pending: int = 0


class BallotState(Struct, frozen=True):
    """One ballot in its newest round.

    Attributes:
        task: whether it settles the task of its name.
        opening: id of the command that opened it.
        votes: the vote that counts, by voter.
        cast, refused: how many were recorded; replaced ones count.
        heard: ids of the commands that were carried out.
        said: what agents said that is not recorded as cast or refused yet, by the id of its event.
        status: ``asking`` where the votes decided nothing and a person is to; ``closed``: its mission ended first.
    """

    name: str
    round: int
    terms: Terms
    closes_at: datetime
    task: bool = False
    opening: str = ""
    votes: Map[str, Vote] = Map()
    cast: int = 0
    refused: int = 0
    heard: Map[str, bool] = Map()
    said: Map[str, AttemptVoted] = Map()
    status: Literal["open", "asking", "decided", "lapsed", "closed"] = "open"
    choice: str = ""


class Mission(Struct, frozen=True):
    """A mission at some event of the log.

    Attributes:
        dependents: node (task or group) to the nodes that need it.
        goal_path: goal to itself and all its ancestors.
        branch_of: task to its group and branch.
        part_of: task to the one instead of which it is done.
        submission: id of the command that began it.
        obeyed: ids of the commands that reopened, paused and resumed it, the newest last: a command that is delivered
            twice is carried out once, also when others were carried out between.
        agenda: what :func:`~orchestrator.core.advance.advance` has to look at.
        timers: when to look at something again.
        seen: noun to the sequence of its newest message: what compare-and-append compares.
        forked: whether what it may take over from ``forked_from`` is on record.
        recorded: results there that are not taken over yet, by the task they were of.
        alike: fingerprint to the tasks there whose results have it.
        limits: what may be spent, by unit; ``exhausted``: what was spent of it when it was found to be all, since the
            mission was last resumed.
        recorded_needs: task behind a barrier to what of its needs it began with there.
    """

    tenant: str = ""
    id: str = ""
    status: MissionStatus = MissionStatus.NEW
    objective: str = ""
    workflow: str = ""
    submission: str = ""
    obeyed: tuple[str, ...] = ()
    inputs: dict[str, Any] = field(default_factory=dict)
    plan: Plan = Plan()
    tasks: Map[str, TaskState] = Map()
    goals: Map[str, GoalState] = Map()
    groups: Map[str, GroupState] = Map()
    ballots: Map[str, BallotState] = Map()
    dependents: Map[str, tuple[str, ...]] = Map()
    goal_path: Map[str, tuple[str, ...]] = Map()
    branch_of: Map[str, tuple[str, str]] = Map()
    part_of: Map[str, str] = Map()
    agenda: Map[tuple[str, str], int] = Map()
    tickets: int = 0
    timers: Map[tuple[str, str], datetime] = Map()
    limits: dict[str, float] = field(default_factory=dict)
    exhausted: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    reason: str = ""
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    forked_from: ForkedFrom | None = None
    forked: bool = False
    recorded: Map[str, RecordedResult] = Map()
    alike: Map[str, tuple[str, ...]] = Map()
    recorded_needs: Map[str, tuple[str, ...]] = Map()

    @property
    def next_timer(self) -> datetime | None:
        """When :func:`advance` should look again even if nothing happens."""
        return min(self.timers.values()) if self.timers and not self.status.ended else None

    def obeying(self, command: str) -> Mission:
        """The mission that knows of one more command that it was carried out; the oldest are forgotten."""
        return replace(self, obeyed=(*self.obeyed, command)[-MOST_OBEYED:]) if command else self
