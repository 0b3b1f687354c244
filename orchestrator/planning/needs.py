"""Needs that follow from references: a task that refers to another needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from orchestrator.planning.findings import Finding
from orchestrator.planning.targets import Target, View, referring_fields, targets_in
from schemas.plan import Group, Plan, TaskSpec


def derive_needs(plan: Plan, inputs: Collection[str] | None = None) -> Plan:
    """``plan`` with the needs that its references imply added to those that are written.

    What a group's task needs outside, the group needs: a branch begins when all it may ask for is there. References
    that lead nowhere imply nothing here; :func:`check_plan` reports them.
    """
    view = View.of(plan, inputs, helpful=False)
    tasks = tuple(_with(task, (target.outer for target in _targets(task, view))) for task in plan.tasks)
    return plan.model_copy(update={"tasks": tasks, "groups": tuple(_group(group, view) for group in plan.groups)})


def _group(group: Group, view: View) -> Group:
    within = view.within(group)
    ignored: list[Finding] = []
    outside = [target.outer for _, target in targets_in(group.items, view, (), ignored)]
    tasks = []
    for task in group.tasks:
        targets = _targets(task, within)
        outside += [need for need in task.needs if need not in within.siblings and _is_outside(need, within)]
        outside += [target.outer for target in targets]
        kept = tuple(need for need in task.needs if need in within.siblings or not _is_outside(need, within))
        task = task.model_copy(update={"needs": kept})
        tasks.append(_with(task, (target.sibling for target in targets)))
    needs = _merged(group.needs, (need for need in outside if need != group.id))
    return group.model_copy(update={"needs": needs, "tasks": tuple(tasks)})


def _is_outside(need: str, view: View) -> bool:
    own = view.inside.id if view.inside is not None else None
    return need != own and (need in view.tasks or need in view.groups)


def _targets(task: TaskSpec, view: View) -> list[Target]:
    ignored: list[Finding] = []
    view = replace(view, barrier=task.barrier is not None)
    return [found for path, value in referring_fields(task) for _, found in targets_in(value, view, path, ignored)]


def _with(task: TaskSpec, needs: Iterable[str | None]) -> TaskSpec:
    merged = _merged(task.needs, (need for need in needs if need != task.id))
    return task if merged == task.needs else task.model_copy(update={"needs": merged})


def _merged(written: Iterable[str], implied: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*written, *(need for need in implied if need is not None)]))
