"""Resolving references against the state of a mission: what the outcomes of other tasks make of a task's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.core.barriers import Given, given_to
from orchestrator.core.mission import GroupState, Mission, TaskState, TaskStatus
from orchestrator.core.parts import prefixes, root_owner
from orchestrator.core.references import (
    JSON,
    MappingScope,
    Reference,
    ReferenceAbsent,
    ReferenceMissing,
    resolve,
    split_task,
    walk,
)
from schemas.ballots import VoteSpec
from schemas.errors import InvalidWorkflow
from schemas.events.registry import explain
from schemas.expectations import Expectation
from schemas.plan import Group

_EXPECTATIONS: TypeAdapter[tuple[Expectation, ...]] = TypeAdapter(tuple[Expectation, ...])


BARRIER = "barrier"
"""What a task behind a barrier calls what it began with: ``${barrier.met}``, ``${barrier.missing}``."""


def resolved_task(
    mission: Mission, task: TaskState, given: Given | None = None
) -> tuple[dict[str, Any], dict[str, Any] | None, tuple[Expectation, ...]]:
    """Inputs, workspace and expectations of a task with all references replaced.

    Args:
        given: what a task behind a barrier begins with; what is there now, if it is left out.

    Raises:
        ReferenceMissing: something referred to has not come about.
        InvalidWorkflow: what a reference stands for does not fit its place.
    """
    spec = task.spec
    if not task.refers:
        return spec.inputs, None, spec.expects
    scope = _scope_of(mission, task, given)
    inputs: Any = resolve(spec.inputs, scope)
    workspace: Any = _whole(spec.workspace, scope) if spec.workspace is not None else None
    if workspace is not None and not isinstance(workspace, dict):
        raise InvalidWorkflow(f"the workspace of task {spec.id!r} is {spec.workspace}, which is no snapshot")
    plain: Any = [expectation.model_dump(mode="json") for expectation in spec.expects]
    try:
        return inputs, workspace, _EXPECTATIONS.validate_python(resolve(plain, scope))
    except ValidationError as error:
        raise InvalidWorkflow(f"the expectations of task {spec.id!r} do not fit: {explain(error)}") from error


def resolved_writes(mission: Mission, task: TaskState, given: Given | None = None) -> tuple[str, ...]:
    """The files that a task means to change.

    Raises:
        ReferenceMissing: something referred to has not come about.
        InvalidWorkflow: it is no list of texts.
    """
    writes: Any = task.spec.writes
    if not writes:
        return ()
    if task.refers:
        scope = _scope_of(mission, task, given)
        writes = _whole(list(writes) if isinstance(writes, tuple) else writes, scope)
    if isinstance(writes, str):
        writes = [writes]
    if not isinstance(writes, list | tuple) or not all(isinstance(one, str) and one for one in writes):
        raise InvalidWorkflow(f"what task {task.spec.id!r} writes is no list of paths: {task.spec.writes!r}")
    return tuple(writes)


def resolved_options(mission: Mission, task: TaskState, vote: VoteSpec) -> tuple[str, Any]:
    """The question of a ballot and its options. Raises :class:`ReferenceMissing`."""
    if not task.refers:
        return vote.question, vote.options
    scope = _scope_of(mission, task, None)
    question: Any = resolve(vote.question, scope)
    options: Any = resolve(vote.options, scope)
    return question if isinstance(question, str) else str(question), options


def group_items(mission: Mission, group: Group) -> Any:
    """What a group unfolds over. Raises :class:`ReferenceMissing`."""
    return _whole(group.items, _Scope(mission, None, group.needs, given_to(mission, group)))


def lenient_result(mission: Mission) -> dict[str, Any]:
    """The mission's result; what an optional goal did not bring about is null."""
    scope = _Scope(mission, None, (), None)
    result: dict[str, Any] = {}
    for name, value in mission.plan.result.items():
        try:
            result[name] = resolve(value, scope)
        except InvalidWorkflow:
            result[name] = None
    return result


def _scope_of(mission: Mission, task: TaskState, given: Given | None) -> _Scope:
    # What is done instead of a task sees what that one sees.
    root = root_owner(mission, task.spec.id)
    needs = mission.tasks[root].spec.needs
    given = given or given_to(mission, mission.tasks[root].spec)
    return _Scope(mission, mission.branch_of.get(root), needs, given, prefixes(mission, task.spec.id))


def _whole(value: Any, scope: _Scope) -> JSON:
    """What cannot be null."""
    try:
        return resolve(value, scope)
    except ReferenceAbsent as error:
        raise ReferenceMissing(error.message, hint=error.hint) from error


class _Scope:
    """What references see from one place of a mission. Ids of tasks may hold dots: the longest that fits is meant."""

    def __init__(
        self,
        mission: Mission,
        place: tuple[str, str] | None,
        needs: tuple[str, ...],
        given: Given | None,
        near: tuple[str, ...] = (),
    ) -> None:
        self._tasks = mission.tasks
        self._names = _Names(mission, place, needs, given, near)
        self._members: dict[str, str] = {}
        if place is not None:  # members of siblings, whose short names hold dots
            specs = mission.groups[place[0]].spec.tasks
            self._members = {spec.id: f"{place[0]}.{place[1]}.{spec.id}" for spec in specs if "." in spec.id}

    def lookup(self, path: Reference) -> JSON:
        if self._members and (member := split_task(path, self._members)) is not None:
            state = self._tasks[self._members[member[0]]]
            return walk(_view(state), path, len(path.steps) - len(member[1]))
        if not self._names.is_near(path.head):
            found = split_task(path, self._tasks)
            if found is not None:
                identifier, rest = found
                self._names.check_given(identifier, path)
                return walk(_view(self._tasks[identifier]), path, len(path.steps) - len(rest))
        else:
            self._names.check_given(self._names.sibling(path.head), path)
        return MappingScope(self._names).lookup(path)


class _Names(Mapping[str, Any]):
    """What can be named from one place of a mission; a value is only made when it is asked for.

    Behind a barrier, of its needs only what it was given is seen.
    """

    def __init__(
        self,
        mission: Mission,
        place: tuple[str, str] | None,
        needs: tuple[str, ...],
        given: Given | None,
        near: tuple[str, ...],
    ) -> None:
        self._near = near
        self._mission = mission
        self._place = place
        self._needs = needs
        self._given = given

    def __getitem__(self, name: str) -> Any:
        mission = self._mission
        if self._place is not None:
            group, branch = mission.groups[self._place[0]], self._place[1]
            if name == group.spec.variable:
                return group.items[(group.branches or ()).index(branch)]
        if (sibling := mission.tasks.get(self.sibling(name))) is not None:
            return _view(sibling)
        if name == "inputs":
            return mission.inputs
        if name == "objective":
            return mission.objective
        if name in mission.groups:
            return list(_branches(mission, mission.groups[name], self._hidden(name)))
        if name in mission.tasks:
            return _view(mission.tasks[name])
        if name == BARRIER and self._given is not None:
            return {"met": list(self._given.met), "missing": list(self._given.missing)}
        raise KeyError(name)

    def sibling(self, name: str) -> str:
        """The id of the task of that short name among those done instead of the same task, or in the same branch."""
        for prefix in self._near:
            if prefix + name in self._mission.tasks:
                return prefix + name
        return f"{self._place[0]}.{self._place[1]}.{name}" if self._place is not None else ""

    def check_given(self, task: str, path: Reference) -> None:
        """Raise :class:`ReferenceAbsent` for a need that the barrier did not wait for."""
        if self._given is not None and task in self._needs and task not in self._given.met:
            raise ReferenceAbsent(
                f"{path} is missing: {task!r} had not come about", hint="say what to take instead: ??"
            )

    def _hidden(self, group: str) -> frozenset[str]:
        """The branches of the group that the barrier did not wait for."""
        if self._given is None or group not in self._needs:
            return frozenset()
        return frozenset(self._given.missing)

    def is_near(self, name: str) -> bool:
        """Whether the name means something of this place, whatever tasks are called."""
        if name in ("inputs", "objective"):
            return True
        if self._place is None:
            return self.sibling(name) in self._mission.tasks
        group = self._mission.groups[self._place[0]]
        return name == group.spec.variable or self.sibling(name) in self._mission.tasks

    def __iter__(self) -> Iterator[str]:
        yield from ("inputs", "objective", *self._mission.groups, *self._mission.tasks)
        if self._place is not None:
            group = self._mission.groups[self._place[0]]
            yield group.spec.variable
            yield from (task.id for task in group.spec.tasks)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _view(task: TaskState) -> dict[str, Any]:
    """What a task has to show; nothing before an attempt counts."""
    view: dict[str, Any] = {"status": task.status.value, "reason": task.reason, "attempt": task.attempt}
    if task.status is TaskStatus.SUCCEEDED and task.finished is not None:
        view["output"] = task.finished.output
        view["workspace"] = task.finished.product
        view["tests"] = task.finished.observation.tests
        view["changes"] = task.finished.observation.changes
    return view


def _branches(mission: Mission, group: GroupState, hidden: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The branches all of whose tasks succeeded, in order."""
    for branch, item in zip(group.branches or (), group.items, strict=True):
        if f"{group.spec.id}.{branch}" in hidden:
            continue
        tasks = {spec.id: mission.tasks[f"{group.spec.id}.{branch}.{spec.id}"] for spec in group.spec.tasks}
        if all(task.status is TaskStatus.SUCCEEDED for task in tasks.values() if not task.spec.member_of):
            yield {"item": item, "branch": branch, **{name: _view(task) for name, task in tasks.items()}}
