"""Outlines: what a fold is spared, and that nothing passes as an outline that would not pass as a whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.replay import HistoryFile
from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.facts import Fact
from orchestrator.core.folding import fact_to_fold
from orchestrator.core.mission import Mission
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events import Payload, parse
from schemas.events.outline import outline
from schemas.events.task import TaskReady

HISTORIES = sorted((Path(__file__).parents[1] / "replay" / "histories").glob("*.ndjson"))
REPORT = {"passed": 3, "cases": [{"id": f"tests/test_a.py::test_{n}", "outcome": "passed"} for n in range(40)]}
READY: dict[str, Any] = {
    "task": "build",
    "attempt": 2,
    "skill": "test",
    "inputs": {"report": REPORT, "words": "schön ✓"},
    "workspace": {"tree": "abc"},
    "writes": ["src/*"],
    "on_conflict": "serialise",
    "expects": [{"kind": "files_unchanged"}, {"kind": "tests_no_worse", "baseline": REPORT}],
    "priority": 7,
    "requires": {"gpu": True, "memory_gb": ">=16"},
    "feedback": [{"kind": "tests_pass", "message": "no", "category": "test_failed", "evidence": REPORT}],
}


def ready(data: bytes) -> Event:
    return Event(id="i", source="/t", type="task.ready", time="", tenant="t", data=msgspec.Raw(data))


def said(**changes: Any) -> bytes:
    return json.dumps({**READY, **changes}, ensure_ascii=False).encode()


def judged(event: Event) -> tuple[Payload, Payload] | None:
    """The whole and the outline of an event; None if both ways refuse it, in the same words."""
    whole, made = _said_of(parse, event), _said_of(outline, event)
    if isinstance(whole, str) or isinstance(made, str):
        assert whole == made
        return None
    return whole, made


def _said_of(read: Callable[[Event], Payload], event: Event) -> Payload | str:
    try:
        return read(event)
    except InvalidEvent as error:
        return error.message


def test_only_what_every_one_has_is_made() -> None:
    made = outline(ready(said()))
    assert made == TaskReady(task="build", attempt=2, skill="test")


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_mission_comes_to_the_same(path: Path) -> None:
    quick = slow = Mission(tenant="default", id="m")
    for event in HistoryFile(path).read():
        if event.type in FOLDED_TYPES:
            quick = evolve(quick, fact_to_fold(event))
            slow = evolve(slow, Fact.of(event))
        assert quick == slow


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": "two"},
        {"inputs": []},
        {"inputs": None},
        {"workspace": 3},
        {"nobody": 1},
        {"expects": [{"kind": "nobody"}, REPORT]},
        {"expects": [{"kind": "tests_no_worse"}]},
        {"expects": [{"kind": "files_unchanged", "more": 1}]},
        {"expects": [{"kind": "max_duration", "seconds": -1}]},
        {"feedback": [{"kind": "tests_pass", "message": "no", "category": "worse"}]},
        {"on_conflict": "perhaps"},
        {"requires": {"gpu": [1]}},
        {"prefer": {"quality": -1}},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_alike(changes: dict[str, Any]) -> None:
    assert judged(ready(said(**changes))) is None


@pytest.mark.parametrize(
    "odd",
    [b'{"x":"\xff"}', b'{"\xff":1}', b'{"x":%s}' % (b"1" * 5000), b"[" * 31000 + b"]" * 31000],
    ids=["text", "name", "number", "deeper than the stack"],
)
def test_what_nobody_can_read_is_not_passed_over(odd: bytes) -> None:
    raw = said(inputs={"odd": "HERE"}).replace(b'"HERE"', odd)
    assert judged(ready(raw)) is None


def test_both_ways_judge_broken_payloads_alike() -> None:
    rng, accepted = random.Random(7), 0
    for _ in range(4000):
        raw = bytearray(said())
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(raw))
            raw[at : at + rng.randint(0, 1)] = rng.choice((b"", b'"', b"}", b"1", b"\\", b"\xc3", b" ", b"null", b"{"))
        both = judged(ready(bytes(raw)))
        if both is not None:
            accepted += 1
            whole, made = both
            assert isinstance(whole, TaskReady)
            assert made == whole or made == TaskReady(task=whole.task, attempt=whole.attempt, skill=whole.skill)
    assert 200 < accepted < 3800, "the test tries too little"
