"""Whether a barrier can ever let something pass, and whether what stands behind it can do with less than everything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from orchestrator.core.references import Reference, references, sole_reference
from orchestrator.planning.findings import Finding, Path
from orchestrator.planning.targets import referring_fields
from schemas.errors import InvalidWorkflow
from schemas.plan import Group, TaskSpec


def barrier_findings(node: TaskSpec | Group, path: Path, tasks: Collection[str]) -> Iterator[Finding]:
    """What is wrong with the barrier of a node; ``tasks`` are the names that are tasks, not groups."""
    assert node.barrier is not None
    place, count = (*path, "barrier"), len(node.needs)
    if not node.needs:
        yield Finding(place, f"{node.id!r} has a barrier and needs nothing", "say what it waits for: needs: [a, b, c]")
        return
    countable = all(need in tasks for need in node.needs)
    for name in ("at_least", "then_at_least"):
        wanted = getattr(node.barrier, name)
        if countable and wanted is not None and wanted > count:
            mend = f"it needs {', '.join(node.needs[:8])}"
            yield Finding((*place, name), f"{name!r} is {wanted}, and {node.id!r} needs only {count}", mend)
    if isinstance(node, Group):
        yield from _unsure(node, node.items, (*path, "for_each"), "the list to go through", tasks, anywhere=True)
        return
    for field, value in referring_fields(node):
        anywhere = field[0] in ("workspace", "expects") or (field[0] == "writes" and isinstance(value, str))
        yield from _unsure(node, value, (*path, *field), f"{field[0]!r}", tasks, anywhere=anywhere)


def _unsure(
    node: TaskSpec | Group, value: Any, path: Path, what: str, tasks: Collection[str], *, anywhere: bool
) -> Iterator[Finding]:
    """References without a way out to what may not be there, inside a text or, if ``anywhere``, at all."""
    try:
        holes = list(_references(value, anywhere=anywhere))
    except InvalidWorkflow:
        return  # what cannot be parsed is reported where targets are looked for
    for reference in holes:
        need = next((need for need in node.needs if need in tasks and _is_of(reference, need)), None)
        if need is not None and not reference.otherwise:
            said = str(reference)[2:-1]
            other = f"${{{said} ?? {_another(node, need, said)}}}"
            message = f"{reference}: behind its barrier {need!r} may be missing, and {what} has to be something"
            yield Finding(path, message, f"say what to take instead: {other}")


def _references(value: Any, *, anywhere: bool) -> Iterator[Reference]:
    if anywhere:
        yield from references(value)
    elif isinstance(value, str):
        if sole_reference(value) is None:
            yield from references(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _references(inner, anywhere=False)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner, anywhere=False)


def _is_of(reference: Reference, need: str) -> bool:
    names = need.split(".")
    return list(reference.steps[: len(names)]) == names


def _another(node: TaskSpec | Group, need: str, said: str) -> str:
    """The same of another need, or a plain value."""
    other = next((each for each in node.needs if each != need), None)
    return f"{other}{said.removeprefix(need)}" if other is not None else "null"
