"""Folding what is said of ballots, and of choices among parallel attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.barriers import count_begin
from orchestrator.core.facts import Fact
from orchestrator.core.members import ballot_over, close_ballot, look_at, members_of
from orchestrator.core.mission import BallotState, Mission, MissionStatus, TaskState, TaskStatus, Verdict
from orchestrator.core.rest import stop_rest
from orchestrator.core.settle import touch_goal
from schemas.attempts import Failure
from schemas.ballots import ChoiceSpec, Vote, VoteSpec
from schemas.events import Payload
from schemas.events import ballot as ballots
from schemas.events.attempt import AttemptFinished, AttemptVoted
from schemas.events.task import TaskChosen

NOBODY = ""
"""Who executed what no worker did."""
OPEN = (MissionStatus.RUNNING, MissionStatus.PAUSED)


def close_all(mission: Mission) -> Mission:
    """A ballot that is open when its mission ends is over, without an outcome."""
    for name in mission.ballots:
        mission = close_ballot(mission, name)
    return mission


def _put(mission: Mission, ballot: BallotState) -> Mission:
    return replace(mission, ballots=mission.ballots.set(ballot.name, ballot))


def _opened(mission: Mission, fact: Fact, event: ballots.BallotOpened) -> Mission:
    name = event.ballot
    task = mission.tasks.get(name) if event.task else None
    if mission.status not in OPEN or not _may_open(mission, task, event):
        return mission  # said before, or too late
    fresh = BallotState(name, event.round, event.terms, event.closes_at, task=event.task, opening=fact.cause)
    mission = agenda.set_timer(_put(mission, fresh), agenda.COUNT, name, event.closes_at)
    if task is not None:
        voting = replace(task, status=TaskStatus.VOTING, attempt=event.round, verdict=None, started_at=fact.at)
        mission = agenda.drop_timer(agenda.take(mission, agenda.FREE, name), agenda.BARRIER, name)
        mission = replace(mission, tasks=mission.tasks.set(name, voting))
        mission = touch_goal(mission, task.spec.goal, fact.at)
        mission = stop_rest(count_begin(mission, name, fact.at), name)
        said = [one for one in members_of(mission, task) if mission.tasks[one].status is TaskStatus.SUCCEEDED]
        mission = agenda.put(mission, agenda.CAST, said)
    return look_at(mission, name)


def _may_open(mission: Mission, task: TaskState | None, event: ballots.BallotOpened) -> bool:
    if not event.task:
        return event.ballot not in mission.ballots and event.ballot not in mission.tasks and event.round == 1
    fits = task is not None and isinstance(task.spec.settle, VoteSpec)
    return fits and task is not None and task.status is TaskStatus.WAITING and event.round > task.attempt


def _live(mission: Mission, event: ballots.BallotPayload, *status: str) -> BallotState | None:
    """The ballot, if it is in this round and in one of these states."""
    ballot = mission.ballots.get(event.ballot)
    fits = ballot is not None and ballot.round == event.round and ballot.status in status
    return ballot if fits and mission.status in OPEN else None


def _cast(mission: Mission, fact: Fact, event: ballots.BallotCast) -> Mission:
    ballot = _live(mission, event, "open")
    if ballot is None or event.number != ballot.cast + 1:
        return mission
    vote = Vote(voter=event.voter, ranking=event.ranking, reason=event.reason, weight=event.weight)
    heard = ballot.heard.set(fact.cause, True) if not event.task and fact.cause else ballot.heard
    ballot = replace(ballot, votes=ballot.votes.set(event.voter, vote), cast=event.number, heard=heard)
    return look_at(_answered(mission, ballot, event), ballot.name)


def _refused(mission: Mission, fact: Fact, event: ballots.BallotRefused) -> Mission:
    ballot = mission.ballots.get(event.ballot)
    if ballot is None or ballot.round != event.round or event.number != ballot.refused + 1:
        return mission
    return look_at(_answered(mission, replace(ballot, refused=event.number), event), ballot.name)


def _answered(mission: Mission, ballot: BallotState, event: ballots.BallotCast | ballots.BallotRefused) -> Mission:
    """What an attempt or a task has said is on record, and needs no further look."""
    if event.said:
        ballot = replace(ballot, said=ballot.said.delete(event.said)) if event.said in ballot.said else ballot
        return _put(agenda.take(mission, agenda.SAID, f"{ballot.name} {event.said}"), ballot)
    return _put(agenda.take(mission, agenda.CAST, event.task) if event.task else mission, ballot)


def _said(mission: Mission, fact: Fact, event: AttemptVoted) -> Mission:
    ballot, task = mission.ballots.get(event.ballot), mission.tasks.get(event.task)
    if ballot is None or task is None or mission.status not in OPEN or not fact.id:
        return mission
    if task.status is not TaskStatus.READY or task.attempt != event.attempt:
        return mission  # the late word of an attempt that does not count
    mission = _put(mission, replace(ballot, said=ballot.said.set(fact.id, event)))
    return agenda.put(mission, agenda.SAID, [f"{ballot.name} {fact.id}"])


def _decided(mission: Mission, fact: Fact, event: ballots.BallotDecided) -> Mission:
    ballot = _live(mission, event, "open", "asking")
    if ballot is None or event.choice not in ballot.terms.options:
        return mission
    heard = ballot.heard.set(fact.cause, True) if event.how == "person" else ballot.heard
    mission = ballot_over(mission, replace(ballot, status="decided", choice=event.choice, heard=heard))
    if not ballot.task:
        return mission
    output = {
        "choice": event.choice,
        "how": event.how,
        "why": event.why,
        "tally": event.tally,
        "turnout": event.turnout.model_dump(),
        "dissent": [one.model_dump() for one in event.dissent],
        "votes": [ballot.votes[name].model_dump(mode="json") for name in sorted(ballot.votes)],
    }
    return _come_to(mission, ballot.name, ballot.round, output, None)


def _lapsed(mission: Mission, fact: Fact, event: ballots.BallotLapsed) -> Mission:
    ballot = _live(mission, event, "open")
    if ballot is None:
        return mission
    asking = event.then == "ask"
    mission = ballot_over(mission, replace(ballot, status="asking" if asking else "lapsed"))
    if asking or not ballot.task:
        return mission
    failure = Failure(
        code="undecided", message=f"ballot {ballot.name}: {event.why}", hint="`stig ballot show` has the votes"
    )
    task = mission.tasks[ballot.name]
    return _judge(mission, replace(task, status=TaskStatus.READY, verdict=Verdict(failure)))


def _chosen(mission: Mission, fact: Fact, event: TaskChosen) -> Mission:
    task, winner = mission.tasks[event.task], mission.tasks.get(event.winner)
    fits = isinstance(task.spec.settle, ChoiceSpec) and task.status is TaskStatus.WAITING
    if not fits or event.attempt <= task.attempt or mission.status not in OPEN:
        return mission
    mission = agenda.drop_timer(agenda.take(mission, agenda.FREE, event.task), agenda.BARRIER, event.task)
    mission = touch_goal(mission, task.spec.goal, fact.at)
    if event.output is not None:
        return _come_to(mission, event.task, event.attempt, event.output, event.product)
    if winner is None or winner.finished is None:
        return mission
    finished = winner.finished.model_copy(update={"task": event.task, "attempt": event.attempt})
    task = replace(task, status=TaskStatus.READY, attempt=event.attempt, verdict=Verdict(), finished=finished)
    mission = _judge(mission, replace(task, started_at=winner.started_at))
    return mission if winner.started_at is None else count_begin(mission, event.task, winner.started_at)


def _come_to(
    mission: Mission, name: str, attempt: int, output: dict[str, Any], product: dict[str, Any] | None
) -> Mission:
    finished = AttemptFinished(
        task=name, attempt=attempt, worker=NOBODY, outcome="succeeded", output=output, product=product
    )
    task = mission.tasks[name]
    return _judge(
        mission, replace(task, status=TaskStatus.READY, attempt=attempt, verdict=Verdict(), finished=finished)
    )


def _judge(mission: Mission, task: TaskState) -> Mission:
    mission = replace(mission, tasks=mission.tasks.set(task.spec.id, task))
    return agenda.put(mission, agenda.JUDGED, [task.spec.id])


BALLOTS: Mapping[type[Payload], Callable[[Mission, Fact, Any], Mission]] = {
    ballots.BallotOpened: _opened,
    ballots.BallotCast: _cast,
    ballots.BallotRefused: _refused,
    ballots.BallotDecided: _decided,
    ballots.BallotLapsed: _lapsed,
    AttemptVoted: _said,
    TaskChosen: _chosen,
}
"""Event type to how it is folded."""
