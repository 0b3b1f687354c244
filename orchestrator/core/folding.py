"""Folding events as they lie on the log: parsed as far as the fold looks at them."""

from __future__ import annotations

from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from schemas.events import parse
from schemas.events.outline import outline
from schemas.events.task import TaskReady

_FOLDED = frozenset(FOLDED_TYPES)
_OUTLINED = frozenset({TaskReady.TYPE})
"""Of these the fold only asks which attempt at which task they are about."""


def evolved(mission: Mission, event: Event) -> Mission:
    """The mission after one more event; one of a type that says nothing of it is not even parsed.

    Raises:
        InvalidEvent: this release cannot read it.
    """
    return evolve(mission, fact_to_fold(event)) if event.type in _FOLDED else mission


def fact_to_fold(event: Event) -> Fact:
    """The fact, good for :func:`~orchestrator.core.evolve.evolve` and nothing else. Raises as :meth:`Fact.of`."""
    return Fact.of(event, outline if event.type in _OUTLINED else parse)
