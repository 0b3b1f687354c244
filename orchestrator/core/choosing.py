"""Choosing among parallel attempts at one thing, from what they came to. Pure, and the same whatever order they end in,
but for ``first``, which asks for the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.core.adopting import by_content
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from orchestrator.core.references import Reference, parse, walk
from schemas.attempts import Failure
from schemas.ballots import ChoiceSpec, NotChosen
from schemas.conditions import number_of
from schemas.errors import StigmergyError
from schemas.events import Payload
from schemas.events.task import TaskChosen, TaskFailed
from schemas.expectations import Observation

_encoder = msgspec.json.Encoder(order="deterministic")


class Winner(Struct, frozen=True):
    """What is taken: ``task`` is None if nothing can be, and ``why`` says why; where all are put together it is ""."""

    task: str | None
    why: str
    scores: dict[str, float] = {}
    others: dict[str, str] = {}


def may_go(mission: Mission, task: TaskState) -> bool:
    """Whether a task whose needs are settled has something to do: a choice has, once it is certain what is chosen, or
    that nothing can be."""
    if not isinstance(task.spec.settle, ChoiceSpec) or task.hopeless:
        return True
    return _winner(mission, task.spec.settle) is not None


def chosen(mission: Mission, task: TaskState) -> list[Payload]:
    """The fact that follows once the choice is certain; empty before."""
    spec, name, attempt = _spec(task), task.spec.id, task.attempt + 1
    winner = _winner(mission, spec)
    if winner is None:
        return []
    if winner.task is None:
        failure = Failure(code="none_chosen", message=winner.why, hint="`stig mission retry` tries them all again")
        return [TaskFailed(task=name, attempt=attempt, failure=failure)]
    output = product = None
    if spec.pick == "merge":
        output, product = _united(mission, spec), _product(mission.tasks.get(spec.merged))
    others = tuple(
        NotChosen(task=other, why=winner.others.get(other) or _why_not(mission, other), score=winner.scores.get(other))
        for other in spec.of
        if other != winner.task and (winner.task or _failed(mission, other))
    )
    score = winner.scores.get(winner.task)
    return [
        TaskChosen(
            task=name,
            attempt=attempt,
            pick=spec.pick,
            winner=winner.task,
            why=winner.why,
            score=score,
            others=others,
            output=output,
            product=product,
        )
    ]


def _spec(task: TaskState) -> ChoiceSpec:
    assert isinstance(task.spec.settle, ChoiceSpec)
    return task.spec.settle


def _winner(mission: Mission, spec: ChoiceSpec) -> Winner | None:
    parts = [mission.tasks[name] for name in spec.of if name in mission.tasks]
    good = [part for part in parts if _counts(part)]
    waiting = sum(1 for part in parts if not part.status.ended)
    if spec.pick == "ballot":
        return _by_ballot(mission, spec)
    if not good:
        return None if waiting else Winner(None, f"none of {len(parts)} succeeded: {_reasons(mission, spec)}")
    match spec.pick:
        case "first":
            places = {name: place for place, name in enumerate(spec.of)}
            first = min(good, key=lambda part: (str(part.ended_at), places[part.spec.id]))
            return Winner(first.spec.id, "the first that succeeded")
        case "best":
            return None if waiting else _best(spec, good)
        case "vote":
            return _agreed(spec, good, waiting)
        case _:
            return None if waiting else _all_of_them(mission, spec, good)


def _counts(part: TaskState) -> bool:
    return part.status is TaskStatus.SUCCEEDED and part.finished is not None


def _failed(mission: Mission, name: str) -> bool:
    return name not in mission.tasks or not _counts(mission.tasks[name])


def _best(spec: ChoiceSpec, good: Sequence[TaskState]) -> Winner:
    scores: dict[str, float] = {}
    others: dict[str, str] = {}
    for part in good:
        assert part.finished is not None
        try:
            scores[part.spec.id] = number_of(spec.score, _seen(part.finished.output, part.finished.observation))
        except ValueError as error:
            others[part.spec.id] = f"no score: {error}"
    if not scores:
        reasons = "; ".join(f"{name}: {why}" for name, why in others.items())
        return Winner(None, f"nothing has a score {spec.score!r}: {reasons}"[:1000])
    best = max(scores, key=scores.__getitem__)  # of equals the first: they are in the order of the plan
    others |= {name: f"its score is {score:g}" for name, score in scores.items() if name != best}
    return Winner(best, f"the best score, {scores[best]:g}", scores, others)


def _seen(output: dict[str, Any], observation: Observation) -> dict[str, Any]:
    seen = observation.model_dump(mode="json")
    return {"output": output, **{name: seen[name] for name in ("changes", "tests", "exit_code", "duration_s", "tools")}}


def _agreed(spec: ChoiceSpec, good: Sequence[TaskState], waiting: int) -> Winner | None:
    """The largest group of equal results wins, of equally large ones that which comes first in the plan.

    Over samples of a model this is self-consistency (Wang et al., ICLR 2023, arXiv:2203.11171).
    """
    groups: dict[str, list[str]] = {}
    for part in good:
        groups.setdefault(_content(part, spec.agree), []).append(part.spec.id)
    ranked = sorted(groups.values(), key=len, reverse=True)
    largest, second = ranked[0], len(ranked[1]) if len(ranked) > 1 else 0
    if waiting and (len(largest) < spec.at_least or len(largest) <= second + waiting):
        return None
    if len(largest) < spec.at_least:
        return Winner(None, f"at most {len(largest)} of {len(spec.of)} agree, and {spec.at_least} must")
    others = dict.fromkeys(largest[1:], "it agrees with what was taken")
    others |= {name: f"{len(group)} came to this" for group in ranked[1:] for name in group}
    return Winner(largest[0], f"{len(largest)} of {len(spec.of)} agree", others=others)


def _content(part: TaskState, agree: str) -> str:
    assert part.finished is not None
    said: Any = {"output": part.finished.output, "tree": (part.finished.product or {}).get("tree")}
    if agree:
        said = _at(part.finished.output, agree)
    return hashlib.blake2b(_encoder.encode(by_content(said)), digest_size=16).hexdigest()


def _at(output: dict[str, Any], path: str) -> Any:
    """What is there, in a list; an empty list for what is not, which only agrees with its like."""
    try:
        return [walk(output, Reference(parse(path).steps), 0)]
    except StigmergyError:
        return []


def _all_of_them(mission: Mission, spec: ChoiceSpec, good: Sequence[TaskState]) -> Winner | None:
    if len(good) < spec.at_least:
        return Winner(None, f"{len(good)} of {len(spec.of)} succeeded, and {spec.at_least} must")
    if spec.merged:
        merged = mission.tasks.get(spec.merged)
        if merged is not None and not merged.status.ended:
            return None
        if merged is None or not _counts(merged):
            return Winner(None, f"{spec.merged}: {merged.reason if merged is not None else 'it is not there'}")
    return Winner("", f"{len(good)} of {len(spec.of)} put together")


def _by_ballot(mission: Mission, spec: ChoiceSpec) -> Winner | None:
    ballot = mission.tasks.get(spec.by)
    if ballot is None or not ballot.status.ended:
        return None if ballot is not None else Winner(None, f"there is no ballot {spec.by!r}")
    if not _counts(ballot) or ballot.finished is None:
        return Winner(None, f"{spec.by}: {ballot.reason}")
    choice = str(ballot.finished.output.get("choice"))
    if choice not in spec.of or _failed(mission, choice):
        return Winner(None, f"{spec.by} has chosen {choice!r}, which did not succeed")
    return Winner(choice, f"the choice of {spec.by}")


def _united(mission: Mission, spec: ChoiceSpec) -> dict[str, Any]:
    parts = [mission.tasks[name] for name in spec.of if not _failed(mission, name)]
    united: Any = {}
    for part in parts:
        assert part.finished is not None
        united = unite(united, part.finished.output)
    if spec.merged:  # what is put together are parts already
        return dict(united)
    return {**united, "parts": [_part(part) for part in parts]}


def _part(part: TaskState) -> dict[str, Any]:
    output = part.finished.output if part.finished is not None else {}
    return {"task": part.spec.id, "workspace": _product(part), "output": output}


def unite(one: Any, other: Any) -> Any:
    """Two JSON values as one: objects entry by entry, lists joined with each element once; else the first."""
    if isinstance(one, dict) and isinstance(other, dict):
        rest = {name: value for name, value in other.items() if name not in one}
        return {name: unite(value, other[name]) if name in other else value for name, value in one.items()} | rest
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return _once((*one, *other))
    return one


def _once(values: Sequence[Any]) -> list[Any]:
    found: dict[bytes, Any] = {}
    for value in values:
        found.setdefault(_encoder.encode(value), value)
    return list(found.values())


def _product(part: TaskState | None) -> dict[str, Any] | None:
    return part.finished.product if part is not None and part.finished is not None else None


def _why_not(mission: Mission, name: str) -> str:
    part = mission.tasks.get(name)
    if part is None:
        return "it is not there"
    if part.status is TaskStatus.SUCCEEDED:
        return "it succeeded, and was not taken"
    return f"{part.status.value}: {part.reason}" if part.status.ended else "it is no longer needed"


def _reasons(mission: Mission, spec: ChoiceSpec) -> str:
    return "; ".join(f"{name} {_why_not(mission, name)}" for name in spec.of[:5])[:1000]
