"""The changes of a fork: ``task.ID.output``, ``task.ID.output.PATH``, ``inputs.PATH``. No value is altered in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from orchestrator.core.mission import Mission
from orchestrator.core.references import EVERY, Reference, Step, parse, spell, split_task
from schemas.errors import InvalidWorkflow, Refused
from schemas.forks import ForkChange, RecordedResult

_HINT = "write task.ID.output.PATH=VALUE, task.ID.output=VALUE, or inputs.PATH=VALUE"


class Changed(Struct, frozen=True):
    """The values after all changes: the inputs of the mission, and the outputs of tasks that were changed."""

    inputs: dict[str, Any]
    outputs: dict[str, dict[str, Any]]


def changed_values(changes: Iterable[ForkChange], then: Mission, results: Mapping[str, RecordedResult]) -> Changed:
    """Apply the changes in their order.

    Args:
        then: the origin at the event from which the fork begins.
        results: what is on record of its tasks.

    Raises:
        Refused: a change names nothing that is there; the message says what is.
    """
    inputs, outputs = then.inputs, dict[str, dict[str, Any]]()
    for change in changes:
        steps = _steps(change.path)
        if steps[0] == "inputs":
            inputs = put(inputs, steps[1:], change.value, change.path)
            if not isinstance(inputs, dict):
                raise Refused(f"{change.path} must be an object", hint=_HINT)
            continue
        task, rest = _task_of(change.path, steps, then)
        if not rest:
            if not isinstance(change.value, dict):
                raise Refused(f"{change.path} must be an object", hint='for instance task.ID.output={"count": 3}')
            outputs[task] = change.value
            continue
        base = outputs[task] if task in outputs else _output_of(task, results)
        outputs[task] = put(base, rest, change.value, change.path)
    return Changed(inputs, outputs)


def put(value: Any, steps: Sequence[Step], new: Any, path: str) -> Any:
    """``value`` with ``new`` at the end of the steps; what lies on the way must be there. Raises :class:`Refused`."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict) and isinstance(step, str) and (not rest or step in value):
        return {**value, step: put(value.get(step), rest, new, path)}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return [*value[:step], put(value[step], rest, new, path), *value[step + 1 :]]
    there = ", ".join(sorted(value)[:8]) if isinstance(value, dict) else ""
    there = f"it has {there}" if there else f"it is a list of {len(value)}" if isinstance(value, list) else ""
    raise Refused(f"{path} leads nowhere: there is no {spell((step,))} on the way", hint=there or _HINT)


def _steps(path: str) -> tuple[Step, ...]:
    try:
        steps = parse(path).steps
    except InvalidWorkflow as error:
        raise Refused(f"{path!r} is no path", hint=_HINT) from error
    if EVERY in steps or steps[0] not in ("task", "inputs"):
        raise Refused(f"{path!r} is nothing that a fork can change", hint=_HINT)
    return steps


def _task_of(path: str, steps: tuple[Step, ...], then: Mission) -> tuple[str, tuple[Step, ...]]:
    found = split_task(Reference(steps[1:]), then.tasks) if steps[0] == "task" else None
    if found is None:
        said = spell(steps[1:]).partition(".output")[0]
        near = get_close_matches(said, list(then.tasks), 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else "a group's tasks are there once it has unfolded"
        raise Refused(f"there was no task {said!r} at that event", hint=hint)
    task, rest = found
    if rest[:1] != ("output",):
        raise Refused(f"{path!r}: of a task only the output can be changed", hint=_HINT)
    return task, rest[1:]


def _output_of(task: str, results: Mapping[str, RecordedResult]) -> dict[str, Any]:
    result = results.get(task)
    if result is None or result.failure is not None:
        raise Refused(
            f"task {task!r} has no output of which a part could be changed",
            hint=f"give it a whole one: task.{task}.output={{…}}",
        )
    return result.output
