"""What an intent is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.events.task import TaskReady
from schemas.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Known:
    """What the task-queue manager knows that bears on one task.

    Attributes:
        expected_s: how long attempts of its skill take; None before the first.
        changed: files in which its workspace differs from the nearest tree before it whose tests ran; None if there is
            none, or if it is not known what lies between.
        suite_s: how long those tests took.
    """

    expected_s: float | None = None
    changed: tuple[str, ...] | None = None
    suite_s: float | None = None


Fill = Callable[[TaskReady, Known], Mapping[str, Any]]


def _nothing(_ready: TaskReady, _known: Known) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that tasks may want.

    Attributes:
        name: as plans write it, in the imperative: ``RunTests``.
        skill: whose tool carries it out; with another skill the intent says nothing about parameters.
        parameters: the shape that the tool wants.
        workspace: whether it cannot do without a file tree.
        fill: parameters that follow from the situation; what the task says itself goes first.
        resources: what an attempt may use: ``memory_mb``, ``cpu_s``, ``processes``.
    """

    name: str
    skill: str
    parameters: type[Parameters]
    workspace: bool = True
    fill: Fill = _nothing
    resources: Mapping[str, float] = field(default_factory=dict)
