"""What two roles of a process read is parsed once."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator import parsing
from orchestrator.core.facts import Fact
from orchestrator.parsing import Parsing
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events.enveloping import envelop
from schemas.events.task import TaskReady
from schemas.ids import uuid7
from stigmergy.wiring import now


def ready(task: str = "a") -> Event:
    return envelop(TaskReady(task=task, attempt=1, skill="echo"), id=uuid7(), source="/test", at=now(), tenant="t")


def test_the_same_event_gives_the_same_fact() -> None:
    shared, event = Parsing(), ready()
    assert shared.fact(event) is shared.fact(event)
    assert shared.fact(event) == Fact.of(event)
    assert shared.fact(ready("b")).payload == TaskReady(task="b", attempt=1, skill="echo")


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_MOST_BYTES", 500)
    shared, events = Parsing(), [ready(str(number)) for number in range(100)]
    facts = [shared.fact(event) for event in events]
    assert [shared.fact(event) for event in events] == facts
    assert sum(len(event.data) for event, _ in shared._kept.values()) <= 500


def test_what_cannot_be_read_is_said_each_time() -> None:
    shared, event = Parsing(), msgspec.structs.replace(ready(), type="task.of_tomorrow")
    for _ in range(2):
        with pytest.raises(InvalidEvent):
            shared.fact(event)
