"""Taking over what a task came to in the mission that this one was forked from, instead of executing it again.

A result is a function of what the task was given: skill, intent, inputs, workspace and expectations, all resolved.
Where these are equal the recorded result is taken, whatever ran anew before it. So it need not be worked out in advance
what a change touches: a task downstream of a change runs only if what it is given comes out differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from orchestrator.core.mission import Mission, TaskState, TaskStatus
from schemas.events.task import TaskAdopted, TaskReady
from schemas.forks import RecordedResult

_SNAPSHOT = frozenset({"tree", "packs", "files", "size_bytes"})
_encoder = msgspec.json.Encoder(order="deterministic")


def fingerprint(ready: TaskReady) -> str:
    """A digest of everything that a task's result may depend on."""
    given: dict[str, Any] = {
        "skill": ready.skill,
        "intent": ready.intent,
        "inputs": ready.inputs,
        "workspace": ready.workspace,
        "expects": [expectation.model_dump(mode="json") for expectation in ready.expects],
    }
    if ready.needs_met:  # branches may have other names in a fork, and do not know each other
        own = f"{ready.task.rpartition('.')[0]}."
        given["needs_met"] = [need.removeprefix(own) for need in ready.needs_met]
    return hashlib.blake2b(_encoder.encode(by_content(given)), digest_size=16).hexdigest()


def by_content(value: Any) -> Any:
    """A JSON value in which file trees are named by their content alone, not by the packs they travel in."""
    if isinstance(value, dict):
        if value.keys() == _SNAPSHOT:
            return {"tree": value["tree"]}
        return {name: by_content(inner) for name, inner in value.items()}
    return [by_content(inner) for inner in value] if isinstance(value, list | tuple) else value


def template_of(mission: Mission, task: str) -> str:
    """The group and the task of it that a task of a branch was made of; empty for others."""
    place = mission.branch_of.get(task)
    return "" if place is None else f"{place[0]}.*.{task.removeprefix(f'{place[0]}.{place[1]}.')}"


def changed(mission: Mission, task: TaskState) -> TaskAdopted | None:
    """The output that the fork gave this task, if it did."""
    result = mission.recorded.get(task.spec.id)
    return _adopted(mission, task, result) if result is not None and result.changed and _fresh(task) else None


def recorded(mission: Mission, task: TaskState, ready: TaskReady) -> TaskAdopted | None:
    """The recorded result of what is about to be done, if there is one that was not taken over yet."""
    if not mission.recorded or not _fresh(task):
        return None
    found = next(_candidates(mission, task.spec.id, fingerprint(ready)), None)
    return None if found is None else _adopted(mission, task, found)


def _fresh(task: TaskState) -> bool:
    """Not after a failure of its own: what is tried again is meant to be executed."""
    return task.status is TaskStatus.WAITING and task.attempt == 0


def _candidates(mission: Mission, task: str, wanted: str) -> Iterator[RecordedResult]:
    """Its own first; then, among the branches of one group, any: an item may have another branch name now."""
    own = mission.recorded.get(task)
    if own is not None and own.fingerprint == wanted:
        yield own
    template = template_of(mission, task)
    if not template:
        return
    for other in mission.alike.get(wanted, ()):
        result = mission.recorded.get(other)
        fits = result is not None and result.template == template and not result.changed
        if fits and result is not None and not _wants_it_himself(mission, other, task):
            yield result


def _wants_it_himself(mission: Mission, other: str, task: str) -> bool:
    """Whether the task of that name is here as well, for an equal item: what it came to is for it to take over."""
    return other in mission.branch_of and _item(mission, other) == _item(mission, task)


def _item(mission: Mission, task: str) -> Any:
    group, branch = mission.branch_of[task]
    state = mission.groups[group]
    return state.items[(state.branches or ()).index(branch)]


def _adopted(mission: Mission, task: TaskState, result: RecordedResult) -> TaskAdopted:
    assert mission.forked_from is not None
    return TaskAdopted(
        task=task.spec.id,
        attempt=result.attempt,
        origin=mission.forked_from.mission,
        origin_task=result.task,
        fingerprint=result.fingerprint,
        needs_met=result.needs_met,
        changed=result.changed,
        worker=result.worker,
        output=result.output,
        product=result.product,
        observation=result.observation,
        failure=result.failure,
    )
