"""Commands: what somebody asks, granted as facts or refused with the reason."""

from __future__ import annotations

from datetime import datetime

from orchestrator.core.balloting import decide_ballot
from orchestrator.core.forking import Recording, fork
from orchestrator.core.members import is_settled, to_reopen
from orchestrator.core.mission import Mission, MissionStatus, TaskStatus
from orchestrator.core.sound import plan_fits
from schemas.budgets import Budget, reached, told
from schemas.commands import (
    AnswerTask,
    CancelMission,
    CastVote,
    ForkMission,
    MissionCommand,
    OpenBallot,
    PauseMission,
    ResumeMission,
    RetryMission,
    SettleBallot,
    SubmitMission,
)
from schemas.errors import Refused
from schemas.events import Payload
from schemas.events.mission import (
    MissionCancelled,
    MissionForked,
    MissionPaused,
    MissionPlanned,
    MissionReopened,
    MissionResumed,
    MissionSubmitted,
)
from schemas.events.task import TaskAnswered
from schemas.plan import Plan


def decide(
    mission: Mission,
    command: MissionCommand,
    now: datetime,
    *,
    plan: Plan | None = None,
    origin: Recording | None = None,
) -> list[Payload]:
    """The facts that grant a command; none if it is granted already.

    Args:
        mission: the state folded from the log.
        command: what is asked.
        now: the present instant.
        plan: for a submission, what the planner made of it.
        origin: for a fork, what is on record of the mission it begins in.

    Raises:
        Refused: the command may not be carried out in this state; the message says why.
    """
    if isinstance(command, SubmitMission):
        return _submit(mission, command, now, plan)
    if isinstance(command, ForkMission):
        return _fork(mission, command, now, origin)
    if mission.status is MissionStatus.NEW:
        raise Refused(f"there is no mission {command.mission!r}", hint="`stig mission list` shows them")
    if not isinstance(command, CancelMission):
        _need_plan(mission)
    match command:
        case PauseMission():
            return _pause(mission, command)
        case ResumeMission():
            return _resume(mission, command)
        case CancelMission():
            return _cancel(mission, command)
        case RetryMission():
            return _retry(mission, command)
        case AnswerTask():
            return _answer(mission, command)
        case OpenBallot() | CastVote() | SettleBallot():
            return decide_ballot(mission, command, now)


def _submit(mission: Mission, command: SubmitMission, now: datetime, plan: Plan | None) -> list[Payload]:
    if plan is not None and command.budget != Budget():
        plan = plan.model_copy(update={"budget": plan.budget.amended(command.budget)})
    if mission.status is not MissionStatus.NEW:
        if mission.submission == command.id:
            return _plan_left_out(mission, now, plan)
        raise Refused(f"mission {command.mission!r} exists already", hint="choose another id, or leave it out")
    if plan is None:
        raise Refused("a submission needs a plan", hint="name a workflow, or send a plan")
    if not plan_fits(plan):
        raise Refused("the plan is no task graph: it names goals or tasks that are not there, or twice")
    return [
        MissionSubmitted(
            objective=command.objective,
            workflow=command.workflow,
            inputs=command.inputs,
            labels=command.labels,
            submitted_by=command.by,
        ),
        MissionPlanned(plan=plan, planned_at=now),
    ]


def _plan_left_out(mission: Mission, now: datetime, plan: Plan | None) -> list[Payload]:
    """What is missing when the one who granted a submission died between its two facts."""
    if mission.goals or mission.status.ended or plan is None:
        return []
    return [MissionPlanned(plan=plan, planned_at=now)]


def _fork(mission: Mission, command: ForkMission, now: datetime, origin: Recording | None) -> list[Payload]:
    if mission.status is not MissionStatus.NEW and mission.submission != command.id:
        raise Refused(f"mission {command.mission!r} exists already", hint="choose another id, or leave it out")
    if mission.goals or mission.status.ended:
        return []
    if origin is None:
        raise Refused(f"there is no mission {command.origin!r}", hint="`stig mission list` shows them")
    facts = fork(command, origin, now)
    # What is missing when the one who granted it died between its facts.
    done: set[type[Payload]] = {MissionSubmitted} if mission.status is not MissionStatus.NEW else set()
    done |= {MissionForked} if mission.forked else set()
    return [fact for fact in facts if type(fact) not in done]


def _pause(mission: Mission, command: PauseMission) -> list[Payload]:
    if mission.status is MissionStatus.PAUSED or command.id in mission.obeyed:
        return []
    _need_open(mission, "paused")
    return [MissionPaused(reason=command.reason)]


def _resume(mission: Mission, command: ResumeMission) -> list[Payload]:
    if command.id in mission.obeyed:
        return []
    _need_open(mission, "resumed")
    if mission.status is MissionStatus.RUNNING:
        if command.budget == Budget():
            return []
        hint = f"pause it first, which disturbs nothing that runs: stig mission pause {mission.id}"
        raise Refused(f"mission {mission.id!r} is running, and its budget is changed when it is resumed", hint=hint)
    limits = {**mission.limits, **command.budget.limits}
    if spent := reached(limits, mission.exhausted):
        more = " ".join(f"--budget {unit}=MORE" for unit in spent)
        hint = f"allow more, stig mission resume {mission.id} {more}, or cancel it"
        raise Refused(f"the budget is spent: {told(spent, limits, spent)}", hint=hint)
    return [MissionResumed(budget=command.budget)]


def _cancel(mission: Mission, command: CancelMission) -> list[Payload]:
    if mission.status is MissionStatus.CANCELLED:
        return []
    _need_open(mission, "cancelled")
    return [MissionCancelled(reason=command.reason)]


def _retry(mission: Mission, command: RetryMission) -> list[Payload]:
    if command.id in mission.obeyed:
        return []
    if mission.status is not MissionStatus.FAILED:
        raise Refused(
            f"mission {mission.id!r} is {mission.status.value}; only a failed mission can be retried",
            hint="submit the objective again to run it anew",
        )
    failed = sorted(
        name
        for name, task in mission.tasks.items()
        if task.status is TaskStatus.FAILED and not is_settled(mission, task) and name not in mission.part_of
    )
    unknown = [name for name in command.tasks if name not in failed]
    if unknown:
        raise Refused(f"these tasks have not failed: {', '.join(unknown)}", hint=f"failed are: {', '.join(failed)}")
    return [MissionReopened(tasks=to_reopen(mission, command.tasks or failed))]


def _answer(mission: Mission, command: AnswerTask) -> list[Payload]:
    task = mission.tasks.get(command.task)
    if task is not None and command.id in task.answers:
        return []
    if task is None or task.status is not TaskStatus.ASKING:
        asking = sorted(name for name, each in mission.tasks.items() if each.status is TaskStatus.ASKING)
        hint = f"waiting are: {', '.join(asking)}" if asking else "no task of the mission waits for an answer"
        raise Refused(f"task {command.task!r} does not wait for an answer", hint=hint)
    return [
        TaskAnswered(
            task=command.task,
            attempt=task.attempt,
            decision=command.decision,
            advice=command.advice,
            by=command.by,
        )
    ]


def _need_plan(mission: Mission) -> None:
    """Whoever began the mission is about to plan it, or has died before; then the submission comes again."""
    if not mission.goals and not mission.status.ended:
        raise Refused(
            f"mission {mission.id!r} has no plan yet",
            hint="its submission is still being carried out: ask again in a moment, or cancel the mission",
        )


def _need_open(mission: Mission, what: str) -> None:
    if mission.status.ended:
        raise Refused(f"mission {mission.id!r} is {mission.status.value} and cannot be {what}")
