"""Tasks that are settled by their members: by a vote, or by choosing among parallel attempts.

A member's failure is its owner's business. When the owner has ended, what is left of its members is stopped.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from immutables import Map
from msgspec.structs import replace

from orchestrator.coordination.voting import Count, count
from orchestrator.core import agenda
from orchestrator.core.barriers import settle
from orchestrator.core.choosing import may_go
from orchestrator.core.mission import BallotState, Mission, TaskState, TaskStatus
from schemas.ballots import ChoiceSpec, VoteSpec

MOST_ABOVE = 10
"""How deep owners nest in plans that are checked; one that names itself is not followed for ever."""


def members_of(mission: Mission, owner: TaskState) -> Iterator[str]:
    """The tasks of this mission that the owner is settled by, directly."""
    match owner.spec.settle:
        case VoteSpec() as vote:
            names = [elector.name for elector in vote.electorate if elector.kind == "task"]
        case ChoiceSpec() as choice:
            names = [*choice.of, *(name for name in (choice.merged, choice.by) if name)]
        case None:
            return
    yield from (name for name in names if name in mission.tasks)


def owner_of(mission: Mission, task: TaskState) -> TaskState | None:
    """The task that this one is a member of."""
    return mission.tasks.get(task.spec.member_of) if task.spec.member_of else None


def is_settled(mission: Mission, task: TaskState) -> bool:
    """Whether nobody asks any more what a member comes to."""
    owner = owner_of(mission, task)
    if owner is None:
        return False
    return owner.status.ended or (owner.status is TaskStatus.READY and owner.verdict is not None)


def member_ended(mission: Mission, task: TaskState) -> Mission:
    """What the end of a task means for the owner it is a member of, and for its own members."""
    members = [name for name in members_of(mission, task) if not mission.tasks[name].status.ended]
    # What cannot run anyway is about to be skipped, for the same reason as its owner.
    skipped = [name for name in members if mission.tasks[name].hopeless and (agenda.FREE, name) in mission.agenda]
    stopped = [name for name in members if name not in skipped]
    mission = agenda.put(mission, agenda.STOP, stopped)
    if isinstance(task.spec.settle, VoteSpec):
        mission = close_ballot(mission, task.spec.id)
    owner = owner_of(mission, task)
    if owner is None or owner.status.ended:
        return mission
    name = owner.spec.id
    if isinstance(owner.spec.settle, VoteSpec):
        ballot = mission.ballots.get(name)
        if ballot is None or ballot.status != "open":
            return mission
        if task.status is TaskStatus.SUCCEEDED:
            return agenda.put(mission, agenda.CAST, [task.spec.id])
        return look_at(mission, name)
    if owner.tally is not None:
        return settle(mission, name)
    waits = owner.status is TaskStatus.WAITING and owner.unmet == 0 and not owner.hopeless
    return agenda.put(mission, agenda.FREE, [name]) if waits and may_go(mission, owner) else mission


def look_at(mission: Mission, name: str) -> Mission:
    """Put a ballot on the agenda once its count is final."""
    ballot = mission.ballots.get(name)
    if ballot is None or ballot.status != "open" or not counted(mission, ballot).final:
        return mission
    return agenda.put(mission, agenda.COUNT, [name])


def counted(mission: Mission, ballot: BallotState, *, late: bool = False) -> Count:
    """What the votes come to; ``late`` when nobody may vote any more."""
    return count(ballot.terms, ballot.votes, () if late else outstanding(mission, ballot))


def outstanding(mission: Mission, ballot: BallotState) -> tuple[str, ...]:
    """The members who have not voted and still may."""
    return tuple(
        elector.name
        for elector in ballot.terms.electorate
        if elector.name not in ballot.votes and (elector.kind != "task" or _may_vote(mission, elector.name))
    )


def _may_vote(mission: Mission, name: str) -> bool:
    task = mission.tasks.get(name)
    return task is not None and (not task.status.ended or (agenda.CAST, name) in mission.agenda)


def close_ballot(mission: Mission, name: str) -> Mission:
    """A ballot whose task, or whose mission, ended first is over, without an outcome."""
    ballot = mission.ballots.get(name)
    if ballot is None or ballot.status not in ("open", "asking"):
        return mission
    return ballot_over(mission, replace(ballot, status="closed"))


def ballot_over(mission: Mission, ballot: BallotState) -> Mission:
    """Nobody may vote in it any more, and nothing that was said is still to be recorded."""
    for key in ballot.said:
        mission = agenda.take(mission, agenda.SAID, f"{ballot.name} {key}")
    for elector in ballot.terms.electorate:
        mission = agenda.take(mission, agenda.CAST, elector.name) if elector.kind == "task" else mission
    mission = agenda.drop_timer(agenda.take(mission, agenda.COUNT, ballot.name), agenda.COUNT, ballot.name)
    return replace(mission, ballots=mission.ballots.set(ballot.name, replace(ballot, said=Map())))


def reopens(mission: Mission, task: TaskState, named: Container[str]) -> bool:
    """Whether a task waits again in a mission that is reopened: if it is named, or was skipped or cancelled.

    A member that its owner had no use for any more stays as it is, unless the owner waits again.
    """
    for _ in range(MOST_ABOVE):
        if task.spec.id in named:
            return True
        if task.status in (TaskStatus.SUCCEEDED, TaskStatus.FAILED):
            return False
        owner = owner_of(mission, task)
        if owner is None:
            return True
        task = owner
    return False


def to_reopen(mission: Mission, named: Iterable[str]) -> tuple[str, ...]:
    """The tasks to name when these are to be tried again: with the members that failed, and, where members had their
    say and it decided nothing, those too, to be asked anew."""
    found = dict.fromkeys(named)
    below: dict[str, list[str]] = {}
    for name in sorted(mission.tasks):
        below.setdefault(mission.tasks[name].spec.member_of, []).append(name)
    waiting = [name for name in sorted(mission.tasks) if reopens(mission, mission.tasks[name], found)]
    for name in waiting:  # grows while it is walked
        owner = mission.tasks[name]
        settle = owner.spec.settle
        asked = isinstance(settle, VoteSpec) or (isinstance(settle, ChoiceSpec) and settle.pick == "vote")
        for member in below.get(name, ()) if settle is not None else ():
            status = mission.tasks[member].status
            failed = status is TaskStatus.FAILED
            anew = status is TaskStatus.SUCCEEDED and asked and owner.status is TaskStatus.FAILED
            if (failed or anew) and member not in found:
                found[member] = None
                waiting.append(member)
    return tuple(found)
