"""Run the repository's own tests: those that a change can have broken first, where the whole suite takes long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.task_queue.intents.intent import Intent, Known
from schemas.events.task import TaskReady
from schemas.expectations import TestsNoWorse, TestsPass
from schemas.parameters import TestParameters

LONG_S = 5.0
"""A second start of pytest costs half a second or more: below this the whole suite at once is quicker."""
MOST_CHANGED = 200


def _fill(ready: TaskReady, known: Known) -> Mapping[str, Any]:
    if not known.changed or len(known.changed) > MOST_CHANGED or (known.suite_s or 0.0) < LONG_S:
        return {}
    if not any(isinstance(expected, TestsNoWorse | TestsPass) for expected in ready.expects):
        return {}  # nothing is lost by a failure, so nothing is gained by seeing it sooner
    return {"changed": list(known.changed), "affected_first": True}


INTENT = Intent(
    "RunTests",
    "test",
    TestParameters,
    fill=_fill,
    resources={"memory_mb": 2048, "cpu_s": 600, "processes": 256},
)
