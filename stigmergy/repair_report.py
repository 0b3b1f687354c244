"""What a repair mission came to: a pure reading of the mission, for people and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from stigmergy.missions import MissionView, TaskView

Verdict = Literal["repaired", "nothing_to_do", "nothing_kept", "failed", "cancelled", "unfinished"]
MOST_FINDINGS = 20
_GROUP = "repair"
_GRAVEST_FIRST = {"error": 0, "warning": 1, "info": 2}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuiteCounts(_Part):
    """One run of the test suite, in numbers. ``outcome`` is that of :class:`~schemas.test_report.TestReport`."""

    outcome: str
    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    duration_s: float = 0.0
    sandbox: str = ""
    notes: tuple[str, ...] = ()


class KeptGroup(_Part):
    """A group of fixes that is in the patch; ``fixes`` counts for each rule."""

    id: str
    title: str
    files: tuple[str, ...]
    fixes: dict[str, int]
    notes: tuple[str, ...] = ()


class RefusedGroup(_Part):
    """A group that is not in the patch, and why. ``stage``: mended, tested alone, or put together with the others."""

    id: str
    title: str
    stage: Literal["fix", "check", "integrate"]
    reason: str


class ConflictingGroup(_Part):
    """A group that changed the same lines as another one."""

    id: str
    paths: tuple[str, ...]


class OpenFinding(_Part):
    """A finding that the patch does not mend. ``line`` counts from 1."""

    path: str
    line: int
    rule: str
    severity: str
    message: str


class RepairReport(_Part):
    """The end of a repair mission.

    Attributes:
        reason: why the mission failed; empty otherwise.
        findings: how many the analyzer found; ``open_findings`` of them are not mended, ``open_examples`` names the
            gravest of those.
        groups_left: groups beyond the limit of one mission.
        proved: whether tests stand behind the patch: some passed before, and they pass still. A repository whose tests
            are missing, or cannot even be collected, proves nothing, however little gets worse.
    """

    mission: str
    verdict: Verdict
    reason: str = ""
    duration_s: float | None = None
    baseline: SuiteCounts | None = None
    final: SuiteCounts | None = None
    kept: tuple[KeptGroup, ...] = ()
    refused: tuple[RefusedGroup, ...] = ()
    conflicts: tuple[ConflictingGroup, ...] = ()
    findings: int = 0
    open_findings: int = 0
    open_examples: tuple[OpenFinding, ...] = ()
    groups_left: int = 0
    proved: bool = False

    @property
    def files(self) -> frozenset[str]:
        """All files that the patch changes."""
        return frozenset(path for group in self.kept for path in group.files)

    @property
    def fixes(self) -> int:
        return sum(sum(group.fixes.values()) for group in self.kept)


def report(view: MissionView) -> RepairReport:
    """Read the report from a mission of the workflow ``repair``, ended or not."""
    tasks = {task.id: task for task in view.tasks}
    analysis, merged = _output(tasks, "analyze"), _output(tasks, "integrate")
    groups = {str(group["id"]): group for group in analysis.get("groups") or ()}
    kept = tuple(_kept(name, groups.get(name, {}), tasks) for name in merged.get("kept") or ())
    names = frozenset(group.id for group in kept)
    before, after = _suite(_output(tasks, "baseline")), _suite(_output(tasks, "verify") or merged.get("tests") or {})
    left = [finding for finding in analysis.get("findings") or () if finding.get("fix_group") not in names]
    total = int(analysis.get("total", 0))
    mended = len(analysis.get("findings") or ()) - len(left)
    return RepairReport(
        mission=view.id,
        verdict=_verdict(view, kept, groups),
        reason="" if view.status == "completed" else _reason(view),
        duration_s=_duration(view),
        baseline=before,
        final=after,
        proved=before is not None and after is not None and before.passed > 0 and after.passed > 0,
        kept=kept,
        refused=(*_refused_alone(tasks, groups), *_refused_together(merged, groups)),
        conflicts=tuple(
            ConflictingGroup(id=str(one["group"]), paths=tuple(one["paths"])) for one in merged.get("conflicts") or ()
        ),
        findings=total,
        open_findings=max(total - mended, 0),
        open_examples=tuple(_open(finding) for finding in sorted(left, key=_gravity)[:MOST_FINDINGS]),
        groups_left=int(analysis.get("groups_left", 0)),
    )


def _verdict(view: MissionView, kept: tuple[KeptGroup, ...], groups: Mapping[str, Any]) -> Verdict:
    match view.status:
        case "completed" if kept and view.result.get("patch"):
            return "repaired"
        case "completed":
            return "nothing_kept" if groups else "nothing_to_do"
        case "failed":
            return "failed"
        case "cancelled":
            return "cancelled"
        case _:
            return "unfinished"


def _reason(view: MissionView) -> str:
    """The mission's own reason, and the task at fault if the reason does not say it already."""
    said = view.reason or (view.failure.message if view.failure else "")
    required = [task for task in view.tasks if task.status == "failed" and not task.id.startswith(f"{_GROUP}.")]
    told = [f"{task.id}: {task.reason}" for task in required if task.reason and task.reason not in said]
    return "; ".join([said, *told] if said else told)


def _duration(view: MissionView) -> float | None:
    if view.submitted_at is None or view.ended_at is None:
        return None
    return (view.ended_at - view.submitted_at).total_seconds()


def _output(tasks: Mapping[str, TaskView], name: str) -> dict[str, Any]:
    return tasks[name].output if name in tasks else {}


def _suite(output: Mapping[str, Any]) -> SuiteCounts | None:
    if not output.get("outcome"):
        return None
    return SuiteCounts(**{name: output[name] for name in SuiteCounts.model_fields if name in output})


def _kept(name: str, group: Mapping[str, Any], tasks: Mapping[str, TaskView]) -> KeptGroup:
    fixed = _output(tasks, f"{_GROUP}.{name}.fix")
    return KeptGroup(
        id=name,
        title=str(group.get("title", name)),
        files=tuple(fixed.get("files") or ()),
        fixes=dict(fixed.get("fixes") or {}),
        notes=tuple(fixed.get("notes") or ()),
    )


def _refused_alone(tasks: Mapping[str, TaskView], groups: Mapping[str, Any]) -> Iterator[RefusedGroup]:
    for name, group in groups.items():
        for stage in ("fix", "check"):
            task = tasks.get(f"{_GROUP}.{name}.{stage}")
            if task is not None and task.status == "failed":
                yield RefusedGroup(id=name, title=str(group.get("title", name)), stage=stage, reason=task.reason)


def _refused_together(merged: Mapping[str, Any], groups: Mapping[str, Any]) -> Iterator[RefusedGroup]:
    for dropped in merged.get("dropped") or ():
        name = str(dropped["group"])
        title = str(groups.get(name, {}).get("title", name))
        yield RefusedGroup(id=name, title=title, stage="integrate", reason=str(dropped["reason"]))


def _open(finding: Mapping[str, Any]) -> OpenFinding:
    return OpenFinding(**{name: finding[name] for name in OpenFinding.model_fields})


def _gravity(finding: Mapping[str, Any]) -> tuple[int, str, int]:
    return _GRAVEST_FIRST.get(str(finding.get("severity")), 3), str(finding.get("path")), int(finding.get("line", 0))
