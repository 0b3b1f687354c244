"""Folding events as they lie on the log: parsed as far as the fold looks at them."""

from __future__ import annotations

from orchestrator.core.facts import Fact
from schemas.envelope import Event
from schemas.events import parse
from schemas.events.outline import outline
from schemas.events.task import TaskReady

_OUTLINED = frozenset({TaskReady.TYPE})
"""Of these the fold only asks which attempt at which task they are about."""


def fact_to_fold(event: Event) -> Fact:
    """The fact, good for :func:`~orchestrator.core.evolve.evolve` and nothing else. Raises as :meth:`Fact.of`."""
    return Fact.of(event, outline if event.type in _OUTLINED else parse)
