"""What a reference points at, judged from the plan alone, before anything has run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.core.references import EVERY, JSON, Reference, Step, references, sole_reference, spell, split_task
from orchestrator.core.resolve import BARRIER
from orchestrator.planning.findings import ENOUGH, Finding, Path, suggestion
from schemas.ballots import VoteSpec
from schemas.errors import InvalidWorkflow
from schemas.plan import Group, Plan, TaskSpec

INPUTS = "inputs"
ITEM = "item"
BARRIER_PARTS = ("met", "missing")
INSTEAD = ("smaller_step", "otherwise")
"""Fields of a task that hold what is done instead of it."""
TASK_PARTS = ("output", "workspace", "tests")


@dataclass(frozen=True, slots=True)
class Target:
    """What must have ended before the reference can be followed: at most one of them, none for inputs and items."""

    outer: str | None = None
    sibling: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The names that one place of a plan can see.

    Attributes:
        tasks: ids of the tasks outside groups.
        groups: the groups by id.
        inputs: the declared inputs; None when nothing is known of them.
        inside: the group that the place is in, if any.
        siblings: short names of that group's tasks.
        helpful: whether errors say what could be meant, which costs a search.
        barrier: whether the place is a task behind a barrier, which may ask what it began with.
        dotted: whether ids of tasks hold dots, so that a task is not known by the first name of a reference.
    """

    tasks: Collection[str]
    groups: Mapping[str, Group]
    inputs: Collection[str] | None = None
    inside: Group | None = None
    siblings: Collection[str] = ()
    helpful: bool = True
    barrier: bool = False
    dotted: bool = False

    @staticmethod
    def of(plan: Plan, inputs: Collection[str] | None = None, *, helpful: bool = True) -> View:
        """What can be seen outside of all groups."""
        tasks, groups = {task.id for task in plan.tasks}, {group.id: group for group in plan.groups}
        return View(tasks, groups, inputs, helpful=helpful, dotted=any("." in id_ for id_ in tasks))

    def within(self, group: Group) -> View:
        """What can be seen inside ``group``."""
        return replace(self, inside=group, siblings={task.id for task in group.tasks})

    def target(self, reference: Reference) -> Target:
        """Raises :class:`InvalidWorkflow` for a reference that can never be followed."""
        head, rest = reference.head, reference.steps[1:]
        if head == INPUTS:
            return self._input(reference, rest)
        if self.inside is not None and head == self.inside.variable:
            return Target()
        if (sibling := split_task(reference, self.siblings)) is not None:
            _check_part(reference, *sibling)
            return Target(sibling=sibling[0])
        task = self._task(reference, rest)
        if task is not None:
            _check_part(reference, *task)
            return Target(outer=task[0])
        if head in self.groups:
            return self._branches(reference, self.groups[head], rest)
        if head == BARRIER:
            self._check_barrier(reference, rest)
            return Target()
        raise self._unknown(reference)

    def _input(self, reference: Reference, rest: tuple[Step, ...]) -> Target:
        if self.inputs is not None and rest and rest[0] not in self.inputs:
            mend = suggestion(str(rest[0]), self.inputs, "declare it under 'inputs'") if self.helpful else ""
            raise InvalidWorkflow(f"{reference}: no input {rest[0]!r} is declared", hint=mend)
        return Target()

    def _check_barrier(self, reference: Reference, rest: tuple[Step, ...]) -> None:
        if not self.barrier:
            raise InvalidWorkflow(f"{reference}: there is no barrier here", hint="give the task one: barrier: 2")
        if not rest or rest[0] not in BARRIER_PARTS:
            hint = suggestion(str(rest[0]), BARRIER_PARTS) if rest else "write ${barrier.met} or ${barrier.missing}"
            raise InvalidWorkflow(f"{reference}: a barrier has met and missing", hint=hint)

    def _task(self, reference: Reference, rest: tuple[Step, ...]) -> tuple[str, tuple[Step, ...]] | None:
        if self.dotted:
            return split_task(reference, self.tasks)
        return (reference.head, rest) if reference.head in self.tasks else None

    def _branches(self, reference: Reference, group: Group, rest: tuple[Step, ...]) -> Target:
        if group is self.inside:
            raise InvalidWorkflow(f"{reference}: a task of group {group.id!r} cannot wait for the whole group")
        tasks = [task.id for task in group.tasks]
        if len(rest) < 2 or not (rest[0] == EVERY or isinstance(rest[0], int)):
            raise InvalidWorkflow(
                f"{reference}: {group.id!r} is a group, and it is not said what of its branches is meant",
                hint=f"write ${{{group.id}[*].{tasks[0] if tasks else '<task>'}.output}} or ${{{group.id}[*].{ITEM}}}",
            )
        part = str(rest[1])
        if part == ITEM:
            return Target(outer=group.id)
        if part not in tasks:
            mend = suggestion(part, [*tasks, ITEM]) if self.helpful else ""
            raise InvalidWorkflow(f"{reference}: group {group.id!r} has no task {part!r}", hint=mend)
        _check_part(reference, spell((group.id, *rest[:2])), rest[2:])
        return Target(outer=group.id)

    def _unknown(self, reference: Reference) -> InvalidWorkflow:
        head = reference.head
        if not self.helpful:
            return InvalidWorkflow(f"{reference}: nothing is called {head!r} here")
        owner = next((group.id for group in self.groups.values() if any(task.id == head for task in group.tasks)), None)
        if owner is not None:
            mend = f"{head!r} runs once for each branch of group {owner!r}: write ${{{owner}[*].{head}.output}}"
            return InvalidWorkflow(f"{reference}: there is no single task {head!r}", hint=mend)
        names = {*self.tasks, *self.groups, *self.siblings, INPUTS}
        if self.inside is not None:
            names.add(self.inside.variable)
        return InvalidWorkflow(f"{reference}: nothing is called {head!r} here", hint=suggestion(head, names))


def referring_fields(task: TaskSpec) -> Iterator[tuple[Path, JSON]]:
    """The fields of a task that may hold references, by their path in a template."""
    for name, value in task.inputs.items():
        yield ("inputs", name), value
    if task.workspace is not None:
        yield ("workspace",), task.workspace
    if isinstance(task.settle, VoteSpec):
        yield ("vote", "question"), task.settle.question
        yield ("vote", "options"), task.settle.options
    if task.writes:
        yield ("writes",), task.writes
    for number, expectation in enumerate(task.expects):
        for name, value in expectation:
            if name != "kind" and isinstance(value, str | dict | tuple):
                yield ("expects", number, name), value


def targets_in(value: Any, view: View, path: Path, findings: list[Finding]) -> list[tuple[Reference, Target]]:
    """All that the references in ``value`` point at; what cannot be followed goes to ``findings``."""
    found: list[tuple[Reference, Target]] = []
    try:
        written = references(value)
    except InvalidWorkflow as error:
        findings.append(Finding(path, error.message, error.hint))
        return found
    for reference in sorted(written, key=str) if len(written) > 1 else written:
        try:
            found += [(reference, view.target(path)) for path in reference.paths]
        except InvalidWorkflow as error:
            findings.append(Finding(path, error.message, error.hint))
            if len(findings) >= ENOUGH and view.helpful:
                break
    return found


def check_sole(text: str, path: Path, findings: list[Finding], what: str) -> None:
    """Note a finding when ``text`` is anything but one reference; what cannot be parsed :func:`targets_in` notes."""
    try:
        references(text)
        if sole_reference(text) is None:
            findings.append(
                Finding(path, f"{what} is {text!r}, not a reference", "write one reference: ${inputs.name}")
            )
    except InvalidWorkflow:
        return  # targets_in looks at the same text and says what is wrong with it, once is enough


def _check_part(reference: Reference, task: str, rest: tuple[Step, ...]) -> None:
    if not rest:
        raise InvalidWorkflow(
            f"{reference}: it is not said what of {task!r} is meant",
            hint=f"write ${{{task}.output}}, .workspace or .tests",
        )
    if rest[0] not in TASK_PARTS:
        near = suggestion(str(rest[0]), TASK_PARTS) if isinstance(rest[0], str) else ""
        mend = (
            near if near.startswith("did") else f"a task has output, workspace and tests: ${{{task}.output.{rest[0]}}}?"
        )
        raise InvalidWorkflow(f"{reference}: a task has no {rest[0]!r}", hint=mend)
