"""Whether a plan is a task graph: every need and reference leads somewhere, and nothing waits for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice

from orchestrator.planning.barriers import barrier_findings
from orchestrator.planning.findings import ENOUGH, Finding, Path, report, suggestion
from orchestrator.planning.graph import Ancestry, Needs, find_cycle, shown_cycle
from orchestrator.planning.names import TASKS_CAP, goal_findings, name_findings
from orchestrator.planning.targets import View, check_sole, referring_fields, targets_in
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
    outer = _Level(view, {t.id: t.needs for t in plan.tasks} | {g.id: g.needs for g in plan.groups}, patient)
    places: dict[str, Path] = {t.id: ("tasks", t.id) for t in plan.tasks}
    places |= {g.id: ("groups", g.id) for g in plan.groups}
    found += islice(outer.need_findings(places), ENOUGH)
    for task in plan.tasks:
        outer.task_references(task, ("tasks", task.id), found)
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
    found += islice(inner.need_findings({task.id: (*path, "tasks", task.id) for task in group.tasks}), ENOUGH)
    for task in group.tasks:
        inner.task_references(task, (*path, "tasks", task.id), found)


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
        needs = {task.id: task.needs for task in group.tasks}
        return _Level(self._view.within(group), needs, patient, self, group.id)

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
            elif target.sibling is None and self._above is not None:
                if not self._above.is_before(target.outer or "", self._owner):
                    mend = f"add {wanted!r} to the needs of the group"
                    found.append(Finding(path, f"{reference}: group {self._owner!r} does not need {wanted!r}", mend))
            elif not self.is_before(wanted, name):
                mend = f"add {wanted!r} to its needs"
                found.append(Finding(path, f"{reference}: {name!r} does not need {wanted!r}", mend))

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
        if outside:
            message = f"{name!r} needs {need!r}, which is outside of group {self._owner!r}"
            return Finding(path, message, f"give the need to the group: groups.{self._owner}.needs: [{need}]")
        owner = next((g.id for g in self._view.groups.values() if any(task.id == need for task in g.tasks)), None)
        mend = f"it is a task of group {owner!r}: need the group" if owner else suggestion(need, self._needs)
        return Finding(path, f"{name!r} needs {need!r}, which is not there", mend)
