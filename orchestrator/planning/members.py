"""Whether owners and members of a plan fit together: who settles a task must be there, and know it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from orchestrator.planning.findings import Finding, Path
from schemas.ballots import ChoiceSpec, VoteSpec
from schemas.plan import TaskSpec

MOST_ABOVE = 5


def written(task: TaskSpec) -> str:
    """The name under which a template has a task: members are written as their owner."""
    return task.id.partition(".")[0] if task.member_of or task.settle is not None else task.id


def with_members_needs(tasks: Sequence[TaskSpec]) -> tuple[TaskSpec, ...]:
    """The tasks, each owner needing what its members need outside of the family: it is skipped where they are."""
    known = {task.id: task for task in tasks}
    wanted: dict[str, dict[str, None]] = {}
    family: dict[str, set[str]] = {}
    for task in tasks:
        for owner in owners(task, known):
            wanted.setdefault(owner.id, {}).update(dict.fromkeys(task.needs))
            family.setdefault(owner.id, {owner.id}).add(task.id)
    made = []
    for task in tasks:
        outside = [need for need in wanted.get(task.id, ()) if need not in family[task.id] and need not in task.needs]
        made.append(task.model_copy(update={"needs": (*task.needs, *outside)}) if outside else task)
    return tuple(made)


def owners(task: TaskSpec, known: Mapping[str, TaskSpec]) -> Iterator[TaskSpec]:
    """The owner of a task, the owner of that, and so on."""
    for _ in range(MOST_ABOVE + 1):
        above = known.get(task.member_of) if task.member_of else None
        if above is None:
            return
        yield above
        task = above


def waits_for(task: TaskSpec, known: Container[str]) -> tuple[str, ...]:
    """What must have ended before a task can succeed: its needs, and its members."""
    match task.settle:
        case VoteSpec() as vote:
            names = [elector.name for elector in vote.electorate if elector.kind == "task"]
        case ChoiceSpec() as choice:
            names = [*choice.of, choice.merged, choice.by]
        case None:
            return task.needs
    return (*task.needs, *(name for name in names if name in known))


def settled_findings(tasks: Sequence[TaskSpec], path: Path) -> Iterator[Finding]:
    """What is wrong with owners and members among tasks that may name one another."""
    known = {task.id: task for task in tasks}
    for task in tasks:
        place = (*path, written(task))
        if bool(task.skill) is (task.settle is not None):
            mend = "give it a skill, or settle it by a vote or a choice"
            yield Finding(place, f"task {task.id!r} must have either a skill or members that settle it", mend)
        if task.member_of and (task.member_of not in known or known[task.member_of].settle is None):
            yield Finding(place, f"{task.id!r} is a member of {task.member_of!r}, which has none", "name its owner")
        if sum(1 for _ in owners(task, known)) > MOST_ABOVE:
            yield Finding(place, f"{task.id!r} is a member of its own members", "break the circle")
        if task.settle is not None:
            yield from _members(task, known, place)


def _members(task: TaskSpec, known: dict[str, TaskSpec], place: Path) -> Iterator[Finding]:
    match task.settle:
        case VoteSpec() as vote:
            direct = [elector.name for elector in vote.electorate if elector.kind == "task"]
            names = direct
            yield from _terms(vote, place)
        case ChoiceSpec() as choice:
            gathered = bool(choice.by)  # by ballot: the parts are members of what gathers them
            direct = [*(() if gathered else choice.of), *(one for one in (choice.merged, choice.by) if one)]
            names = [*choice.of, *direct]
        case None:
            return
    for name in dict.fromkeys(names):
        if name not in known:
            yield Finding(place, f"{task.id!r} is settled by {name!r}, which is not there", "add the task")
        elif name in direct and known[name].member_of != task.id:
            yield Finding(place, f"{name!r} does not know that it is a member", f"give it member_of: {task.id}")


def _terms(vote: VoteSpec, place: Path) -> Iterator[Finding]:
    """What can be said of the terms before the options are known."""
    static = vote.options if not isinstance(vote.options, str) else (vote.status_quo or "?",)
    try:
        vote.terms(vote.question, static)
    except ValueError as error:
        lines = str(error).splitlines()
        yield Finding((*place, "vote"), next((line.strip() for line in lines if "Value error" in line), lines[-1]), "")
