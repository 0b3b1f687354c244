"""Whether a plan is a task graph: every need and reference leads somewhere, and nothing waits for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

from orchestrator.core.replanning import sole_end
from orchestrator.core.resolve import BARRIER
from orchestrator.planning.barriers import barrier_findings
from orchestrator.planning.findings import ENOUGH, Finding, Path, report, suggestion
from orchestrator.planning.graph import Ancestry, Needs, find_cycle, shown_cycle
from orchestrator.planning.members import settled_findings, waits_for, written
from orchestrator.planning.names import TASKS_CAP, goal_findings, name_findings
from orchestrator.planning.targets import INPUTS, INSTEAD, ITEM, Target, View, check_sole, referring_fields, targets_in
from schemas.errors import InvalidWorkflow
from schemas.expectations import FilesChangedWithin, TestsNoWorse
from schemas.plan import Group, Plan, TaskSpec


def check_plan(plan: Plan, *, inputs: Collection[str] | None = None) -> None:
    """Raise :class:`InvalidWorkflow`, listing what is wrong with ``plan`` as a graph.

    Args:
        plan: made by hand, by a template or by a model.
        inputs: names that ``${inputs...}`` may use; None accepts all.
    """
    report(plan_findings(plan, inputs), lambda finding: ".".join(map(str, finding.path)) or "plan")


def plan_findings(plan: Plan, inputs: Collection[str] | None = None) -> list[Finding]:
    """All that is wrong with ``plan`` as a graph; empty when nothing is. Linear in the size of the plan."""
    found = list(islice(name_findings(plan), ENOUGH))
    if len(plan.tasks) > TASKS_CAP:
        return found
    found += islice(goal_findings(plan), ENOUGH)
    view = View.of(plan, inputs)
    patient: dict[str, TaskSpec | Group] = {task.id: task for task in plan.tasks if task.barrier is not None}
    patient |= {group.id: group for group in plan.groups if group.barrier is not None}
    needs = {t.id: waits_for(t, view.tasks) for t in plan.tasks} | {g.id: g.needs for g in plan.groups}
    outer = _Level(view, needs, patient)
    places: dict[str, Path] = {t.id: ("tasks", written(t)) for t in plan.tasks}
    places |= {g.id: ("groups", g.id) for g in plan.groups}
    found += islice(outer.need_findings(places), ENOUGH)
    for task in plan.tasks:
        outer.task_references(task, ("tasks", written(task)), found)
    found += islice(settled_findings(plan.tasks, ("tasks",)), ENOUGH)
    for group in plan.groups:
        _check_group(group, outer, found)
    for name, value in plan.result.items():
        targets_in(value, view, ("result", name), found)
    return found


def _check_group(group: Group, outer: _Level, found: list[Finding]) -> None:
    path: Path = ("groups", group.id)
    check_sole(group.items, (*path, "for_each"), found, "the list to go through")
    outer.references(group.id, group.items, (*path, "for_each"), found)
    if group.barrier is not None:
        found += barrier_findings(group, path, outer.tasks)
    inner = outer.inside(group)
    found += islice(inner.need_findings({task.id: (*path, "tasks", written(task)) for task in group.tasks}), ENOUGH)
    for task in group.tasks:
        inner.task_references(task, (*path, "tasks", written(task)), found)
    found += islice(settled_findings(group.tasks, (*path, "tasks")), ENOUGH)


def _waiting(tasks: Sequence[TaskSpec]) -> Needs:
    names = {task.id for task in tasks}
    return {task.id: waits_for(task, names) for task in tasks}


type Patient = Mapping[str, TaskSpec | Group]
"""What stands behind a barrier, by name."""


class _Level:
    """Names that may need one another: all tasks and groups of a plan, or the tasks of one group (``owner``)."""

    def __init__(
        self, view: View, needs: Needs, patient: Patient, above: _Level | None = None, owner: str = ""
    ) -> None:
        self._view, self._needs, self._patient, self._above, self._owner = view, needs, patient, above, owner

    @property
    def tasks(self) -> Collection[str]:
        """Those of the names that are tasks, not groups."""
        return self._view.tasks if self._above is None else self._needs.keys()

    def inside(self, group: Group) -> _Level:
        """The level below this one: the tasks of ``group``."""
        patient = {task.id: task for task in group.tasks if task.barrier is not None}
        return _Level(self._view.within(group), _waiting(group.tasks), patient, self, group.id)

    def need_findings(self, places: dict[str, Path]) -> Iterator[Finding]:
        """One cycle, and needs that lead nowhere or to oneself."""
        cycle = find_cycle(self._sound)
        if cycle is not None:
            message = f"a cycle, in which each needs the next: {shown_cycle(cycle)}"
            yield Finding(places[cycle[0]], message, "break it: take one of these needs or references away")
        for name, needs in self._needs.items():
            for number, need in enumerate(needs):
                if need == name:
                    yield Finding((*places[name], "needs", number), f"{name!r} needs itself", "remove it from 'needs'")
                elif need not in self._needs:
                    yield self._unknown_need((*places[name], "needs", number), name, need)

    def task_references(self, task: TaskSpec, path: Path, found: list[Finding]) -> None:
        """Note references of a task that lead nowhere, or to something that need not have ended before it."""
        if task.barrier is not None:
            found += barrier_findings(task, path, self.tasks)
        for field, value in referring_fields(task):
            self.references(task.id, value, (*path, *field), found)
        if task.workspace is not None:
            check_sole(task.workspace, (*path, "workspace"), found, "the workspace")
        for number, expected in enumerate(task.expects):
            if isinstance(expected, FilesChangedWithin) and isinstance(expected.patterns, str):
                check_sole(expected.patterns, (*path, "expects", number, "patterns"), found, "the list of patterns")
            if isinstance(expected, TestsNoWorse) and isinstance(expected.baseline, str):
                check_sole(expected.baseline, (*path, "expects", number, "baseline"), found, "the baseline")

        for name in INSTEAD:
            if parts := getattr(task, name):
                self._parts(task, parts, (*path, name), found)

    def _parts(self, task: TaskSpec, parts: Sequence[TaskSpec], path: Path, found: list[Finding]) -> None:
        """Note what is wrong with tasks that are done instead of ``task``."""
        names = {part.id for part in parts}
        taken = names & ({INPUTS, ITEM, BARRIER, *self._view.tasks, *self._view.groups} | {*self._view.siblings})
        for name in sorted(taken):
            message = f"{name!r} cannot be used here: something else is called so"
            found.append(Finding((*path, name), message, "rename it", at_key=True))
        view = replace(self._view, siblings={*self._view.siblings, *names})
        level = _Level(view, {part.id: part.needs for part in parts}, {}, self, task.id)
        wrong = list(islice(level.need_findings({part.id: (*path, part.id) for part in parts}), ENOUGH))
        found += wrong
        if not wrong and not taken:
            try:
                sole_end(parts)
            except InvalidWorkflow as error:
                found.append(Finding(path, error.message, error.hint))
        for part in parts:
            level.task_references(part, (*path, part.id), found)

    def references(self, name: str, value: object, path: Path, found: list[Finding]) -> None:
        """Note references in ``value``, a part of ``name``, that cannot be followed when ``name`` is ready."""
        if len(found) >= ENOUGH:
            return
        view = replace(self._view, barrier=name in self._patient)
        for reference, target in targets_in(value, view, path, found):
            wanted = target.sibling or target.outer
            if wanted is None:
                continue
            if wanted == name:
                found.append(Finding(path, f"{reference}: {name!r} refers to itself", "refer to what came before it"))
            elif (lacking := self._lacking(target, name)) is not None:
                group = lacking != name and lacking in self._view.groups
                what, whose = (
                    (f"group {lacking!r}", "the needs of the group") if group else (repr(lacking), "its needs")
                )
                mend = f"add {wanted!r} to {whose}"
                found.append(Finding(path, f"{reference}: {what} does not need {wanted!r}", mend))

    def _lacking(self, target: Target, name: str) -> str | None:
        """Who would have to need the target so that it has ended when ``name`` begins; None if it surely has."""
        own = target.sibling if target.sibling in self._needs else target.outer if self._above is None else None
        if own is not None:
            return None if self.is_before(own, name) else name
        return None if self._above is None else self._above._lacking(target, self._owner)

    def is_before(self, need: str, name: str) -> bool:
        """Whether ``need`` has surely ended when ``name`` begins."""
        return need in self._needs[name] or self._ancestry.reaches(name, need)

    @cached_property
    def _sound(self) -> Needs:
        return {
            name: [need for need in needs if need != name and need in self._needs]
            for name, needs in self._needs.items()
        }

    @cached_property
    def _ancestry(self) -> Ancestry:
        # What a barrier waits for need not have ended when it lets something pass.
        return Ancestry({name: () if name in self._patient else needs for name, needs in self._sound.items()})

    def _unknown_need(self, path: Path, name: str, need: str) -> Finding:
        outside = self._above is not None and (need in self._view.tasks or need in self._view.groups)
        if outside and self._owner not in self._view.groups:
            message = f"{name!r} needs {need!r}, which is none of the tasks done instead of {self._owner!r}"
            return Finding(path, message, f"give the need to {self._owner!r}")
        if outside:
            message = f"{name!r} needs {need!r}, which is outside of group {self._owner!r}"
            return Finding(path, message, f"give the need to the group: groups.{self._owner}.needs: [{need}]")
        owner = next((g.id for g in self._view.groups.values() if any(task.id == need for task in g.tasks)), None)
        mend = f"it is a task of group {owner!r}: need the group" if owner else suggestion(need, self._needs)
        return Finding(path, f"{name!r} needs {need!r}, which is not there", mend)
