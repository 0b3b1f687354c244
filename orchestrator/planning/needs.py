"""Needs that follow from references: a task that refers to another needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from orchestrator.planning.findings import Finding
from orchestrator.planning.members import with_members_needs
from orchestrator.planning.targets import INSTEAD, Target, View, referring_fields, targets_in
from schemas.plan import Group, Plan, TaskSpec


def derive_needs(plan: Plan, inputs: Collection[str] | None = None) -> Plan:
    """``plan`` with the needs that its references imply added to those that are written.

    What a group's task needs outside, the group needs: a branch begins when all it may ask for is there. References
    that lead nowhere imply nothing here; :func:`check_plan` reports them.
    """
    view = View.of(plan, inputs, helpful=False)
    tasks = tuple(_outer(task, view) for task in plan.tasks)
    groups = tuple(_group(group, view) for group in plan.groups)
    return plan.model_copy(update={"tasks": with_members_needs(tasks), "groups": groups})


def _outer(task: TaskSpec, view: View) -> TaskSpec:
    task, used = _with_parts(task, view)
    return _with(task, (target.outer for target in [*_targets(task, view), *used]))


def _with_parts(task: TaskSpec, view: View) -> tuple[TaskSpec, list[Target]]:
    """The task with the needs of what is done instead of it, and all else that those refer to: it needs that, too."""
    changed: dict[str, tuple[TaskSpec, ...]] = {}
    used: list[Target] = []
    for field in INSTEAD:
        parts: tuple[TaskSpec, ...] = getattr(task, field)
        if not parts:
            continue
        names, made = {part.id for part in parts}, []
        within = replace(view, siblings={*view.siblings, *names})
        for part in parts:
            targets = _targets(part, within)
            made.append(_with(part, (t.sibling for t in targets if t.sibling in names)))
            used += [target for target in targets if target.sibling not in names]
        changed[field] = tuple(made)
    return (task.model_copy(update=changed) if changed else task), used


def _group(group: Group, view: View) -> Group:
    within = view.within(group)
    ignored: list[Finding] = []
    outside = [target.outer for _, target in targets_in(group.items, view, (), ignored)]
    tasks = []
    for task in group.tasks:
        task, used = _with_parts(task, within)
        targets = [*_targets(task, within), *used]
        outside += [need for need in task.needs if need not in within.siblings and _is_outside(need, within)]
        outside += [target.outer for target in targets]
        kept = tuple(need for need in task.needs if need in within.siblings or not _is_outside(need, within))
        task = task.model_copy(update={"needs": kept})
        tasks.append(_with(task, (target.sibling for target in targets)))
    needs = _merged(group.needs, (need for need in outside if need != group.id))
    return group.model_copy(update={"needs": needs, "tasks": with_members_needs(tasks)})


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
