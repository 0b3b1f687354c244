"""The integrator: makes one tree of several patches that were each tested alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from schemas.errors import Permanent
from schemas.events.registry import explain
from schemas.events.workspace import WorkspaceConflicted, WorkspaceMerged
from schemas.findings import FixGroup
from schemas.test_report import TestReport
from schemas.workspaces import Snapshot
from workers.agents.base import Agent
from workers.context import Context
from workers.environments import Environment
from workers.suites import environment_for, observe_suite, summary_of
from workers.tools.python_code import apply_group


class Side(NamedTuple):
    """What one of the sides is: its name, and the group of fixes it was made by, if it was."""

    id: str
    group: FixGroup | None = None


class Integrator(Agent):
    """Merges the sides onto the base; a side that conflicts is made anew on top of the others.

    What passes alone may fail together. Then the sides are added one by one, and one that makes the suite worse is
    dropped (as many suite runs as there are sides; halving would need fewer, but fewer sides would survive when two of
    them do not get on).

    Inputs: ``sides`` (snapshots), ``groups`` (the group of fixes that each side is) or ``names`` (what each is called;
    one that conflicts cannot be made anew then, and is left out), ``baseline`` (test report), ``project``.
    Output: ``patch``, ``kept``, ``dropped`` with reasons, ``conflicts``, ``tests``.
    """

    skills = ("integrate",)

    def run(self, context: Context) -> dict[str, Any]:
        if context.base is None:
            raise Permanent("there is no workspace to put the changes together on")
        sides, groups = _sides(context)
        baseline = TestReport.model_validate(context.inputs["baseline"]) if context.inputs.get("baseline") else None
        merged, conflicts, dropped = self._merge(context, sides, groups)
        if sides and baseline is not None:
            environment = environment_for(context, _laid_out(context, merged, "trial"))
            merged, dropped = self._prove(context, merged, sides, groups, baseline, environment, dropped)
        return self._deliver(context, merged, groups, conflicts, dropped)

    def _merge(
        self, context: Context, sides: list[Snapshot], groups: list[Side]
    ) -> tuple[Snapshot, list[dict[str, Any]], dict[str, str]]:
        """All sides in one tree, what conflicted on the way, and what had to be left out."""
        assert context.base is not None
        merged = context.bench.workspaces.merge(context.base, sides)
        current, conflicts, dropped = merged.snapshot, [], {}
        for conflict in merged.conflicts:
            group = groups[conflict.side]
            conflicts.append({"group": group.id, "paths": list(conflict.paths)})
            context.emit(
                WorkspaceConflicted(
                    task=context.order.task, attempt=context.order.attempt, side=group.id, paths=conflict.paths
                )
            )
            again = self._again(context, current, group)
            if again is None:
                dropped[group.id] = f"conflicts with other groups in {', '.join(conflict.paths[:3])}"
            else:
                current = again
        context.emit(
            WorkspaceMerged(
                task=context.order.task,
                attempt=context.order.attempt,
                base=context.base.tree,
                merged=current.tree,
                sides=tuple(group.id for group in groups if group.id not in dropped),
            )
        )
        return current, conflicts, dropped

    def _again(self, context: Context, current: Snapshot, side: Side) -> Snapshot | None:
        """The group applied to the merged tree: it looks for the flaws anew, so lines that moved do not matter."""
        group = side.group
        if group is None:
            return None
        folder = _laid_out(context, current, f"again-{group.id}")
        applied = apply_group(folder, group)
        return context.bench.workspaces.snapshot(folder, base=current) if applied.changed else None

    def _prove(
        self,
        context: Context,
        merged: Snapshot,
        sides: list[Snapshot],
        groups: list[Side],
        baseline: TestReport,
        environment: Environment,
        dropped: dict[str, str],
    ) -> tuple[Snapshot, dict[str, str]]:
        """The merged tree if it is as green as the baseline, else the largest sum of sides that is."""
        if not self._worse(context, merged, baseline, environment):
            return merged, dropped
        context.think("the groups pass alone but not together: adding them one by one")
        assert context.base is not None
        current = context.base
        for number, (side, group) in enumerate(zip(sides, groups, strict=True)):
            if group.id in dropped:
                continue
            context.progress(f"trying {group.id} on top of the others", number / len(sides))
            trial = context.bench.workspaces.merge(context.base, [current, side])
            candidate = self._again(context, current, group) if trial.conflicts else trial.snapshot
            worse = "it changes nothing on top of the others"
            if candidate is not None:
                worse = self._worse(context, candidate, baseline, environment)
            if candidate is None or worse:
                dropped[group.id] = f"passes alone, not with the others: {worse}"
            else:
                current = candidate
        return current, dropped

    def _worse(self, context: Context, tree: Snapshot, baseline: TestReport, environment: Environment) -> str:
        """What is worse than before; empty if nothing is."""
        folder = _laid_out(context, tree, "trial")
        regressions = observe_suite(context, folder, environment).worse_than(baseline)
        return f"{len(regressions)} worse, {regressions[0].id} first" if regressions else ""

    def _deliver(
        self,
        context: Context,
        merged: Snapshot,
        groups: list[Side],
        conflicts: list[dict[str, Any]],
        dropped: dict[str, str],
    ) -> dict[str, Any]:
        assert context.base is not None
        kept = [group.id for group in groups if group.id not in dropped]
        patch = context.bench.workspaces.patch(context.base, merged)
        context.deliver(merged)
        context.act(f"kept {len(kept)} of {len(groups)} groups", kept=kept, dropped=dropped)
        return {
            "patch": patch,
            "kept": kept,
            "dropped": [{"group": group, "reason": reason} for group, reason in dropped.items()],
            "conflicts": conflicts,
            "tests": summary_of(context.tests) if context.tests is not None else None,
        }


def _sides(context: Context) -> tuple[list[Snapshot], list[Side]]:
    names = [str(name) for name in context.inputs.get("names", ())]
    try:
        sides = [Snapshot.model_validate(side) for side in context.inputs.get("sides", ()) if side is not None]
        groups = [FixGroup.model_validate(group) for group in context.inputs.get("groups", ())]
    except ValidationError as error:
        raise Permanent(f"the sides cannot be read: {explain(error)}") from error
    what = [Side(group.id, group) for group in groups] or [Side(name) for name in names]
    if len(sides) != len(what):
        raise Permanent(f"there are {len(sides)} sides for {len(what)} {'groups' if groups else 'names'}")
    return sides, what


def _laid_out(context: Context, tree: Snapshot, name: str) -> Path:
    folder = context.scratch(name)
    context.bench.workspaces.materialise(tree, folder)
    return folder
