"""Recorded histories: what earlier releases wrote, today's code folds to the same view.

A history is never changed. When the shape of the view changes on purpose, its stored view is written anew by
``python -m tests.replay.test_histories``, and the difference is looked at.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from events.replay import HistoryFile
from schemas.events import check_readable, parse
from stigmergy.cli.state_screen import state_document
from stigmergy.replaying import scene_cursor

HISTORIES = Path(__file__).parent / "histories"
NAMES = sorted(path.stem for path in HISTORIES.glob("*.ndjson"))


def document(name: str, number: int | None = None) -> Any:
    events = HistoryFile(HISTORIES / f"{name}.ndjson").read()
    cursor = scene_cursor(events[0].tenant, events[0].mission)
    cursor.extend(events)
    cursor.jump(len(events) if number is None else number)
    return json.loads(json.dumps(state_document(cursor), default=str))


def test_there_are_histories() -> None:
    assert {"hello", "repair", "fork", "barriers", "budget"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_folds_to_the_stored_view(name: str) -> None:
    stored = json.loads((HISTORIES / f"{name}.view.json").read_text(encoding="utf-8"))
    assert document(name) == stored


@pytest.mark.parametrize("name", NAMES)
def test_every_event_of_it_can_be_read(name: str) -> None:
    for event in HistoryFile(HISTORIES / f"{name}.ndjson").read():
        assert event.type == check_readable(event).TYPE
        assert parse(event).about() == event.subject


@pytest.mark.parametrize("name", NAMES)
def test_it_tells_nothing_of_the_machine_it_ran_on(name: str) -> None:
    text = (HISTORIES / f"{name}.ndjson").read_text(encoding="utf-8")
    assert not re.search(r"\"/(tmp|home|root|work|usr|var)/", text)
    sources = {event.source for event in HistoryFile(HISTORIES / f"{name}.ndjson").read()}
    assert all(
        re.fullmatch(r"/(worker|orchestrator|task-queue)/(worker|orchestrator|task-queue)-\d", one) for one in sources
    )


def test_the_same_events_give_the_same_document_at_any_time() -> None:
    assert document("repair", 60) == document("repair", 60)
    assert document("repair", 0)["mission"]["status"] == "new"
    assert document("repair", 60)["number"] == 60


if __name__ == "__main__":
    for each in NAMES:
        text = json.dumps(document(each), indent=1, ensure_ascii=False)
        (HISTORIES / f"{each}.view.json").write_text(text + "\n", encoding="utf-8")
