"""Skills that agents learn at run time, and those that they deprecate, as one worker and its pool know them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.cards import SkillCard
from schemas.errors import InvalidInput
from schemas.events.enveloping import envelop
from schemas.events.worker import WorkerLearned
from schemas.requirements import queue_of
from workers.learned import Kept
from workers.notebook import MOST, Notebook
from workers.registry import Registry

AGENTS = """
from stigmergy import Agent

class Painter(Agent):
    skills = ("paint", "paint-old")
    deprecated = {"paint-old": "use paint"}
    version = "2"

    def run(self, context):
        return {}
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "painters_for_learning.py"
    path.write_text(AGENTS)
    return str(path)


def card(skill: str, agent: str = "painter") -> SkillCard:
    return SkillCard(id=skill, agent=agent, learned=True)


def test_what_one_process_learns_the_others_of_its_pool_know(module: str) -> None:
    notebook = Notebook()
    one, other = Registry((module,), ("paint",)), Registry((module,), ("paint",))
    for registry in (one, other):
        registry.share(notebook)
    before = one.profile({}, "prefork")
    assert one.learn(card("gild"))
    assert not one.learn(card("gild"))
    assert other.for_skill("gild").name == "painter"
    assert other.skills == ("gild", "paint")
    assert [c.learned for c in other.cards] == [True, False]
    assert one.profile({}, "prefork") == before == other.profile({}, "prefork")
    late = Registry((module,), ("paint",))
    late.share(notebook)
    assert "gild" in late.skills


def test_a_skill_of_somebody_else_is_not_learned(module: str) -> None:
    registry = Registry((module,))
    registry.share(Notebook())
    with pytest.raises(InvalidInput, match="offered by the agent 'echo'"):
        registry.learn(card("echo"))
    with pytest.raises(InvalidInput, match="no agent 'sculptor'"):
        registry.learn(card("carve", "sculptor"))
    with pytest.raises(InvalidInput):
        registry.learn(card("no name"))
    for number in range(MOST):
        registry.learn(card(f"s{number}"))
    with pytest.raises(InvalidInput, match="learned 200 skills"):
        registry.learn(card("one-more"))


def test_a_deprecated_skill_is_not_read_from_the_queue_for_everybody(module: str) -> None:
    registry = Registry((module,), ("paint", "paint-old"))
    own = registry.profile({}, "prefork")
    assert registry.queues({}, "prefork") == (queue_of("paint"), queue_of("paint", own), queue_of("paint-old", own))
    assert registry.deprecated == {"paint-old": "use paint"}
    assert {c.id: c.deprecated for c in registry.cards} == {"paint": "", "paint-old": "use paint"}


def test_lines_of_several_writers_do_not_mix_and_half_a_line_waits() -> None:
    notebook = Notebook()

    def write(writer: int) -> None:
        for number in range(50):
            notebook.put(card(f"c{writer}-{number}"))

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    position, cards = notebook.since(0)
    assert {c.id for c in cards} == {f"c{writer}-{number}" for writer in range(4) for number in range(50)}
    assert notebook.since(position) == (position, [])
    os.write(notebook._file, b'{"id": "half"')
    assert notebook.since(position) == (position, [])


def test_what_was_to_be_kept_is_known_to_who_joins_later(module: str) -> None:
    kept = Kept()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    said = [
        WorkerLearned(worker="w", card=card("gild"), keep=True),
        WorkerLearned(worker="w", card=card("etch"), keep=False),
        WorkerLearned(worker="w", card=card("carve", "sculptor"), keep=True),
        WorkerLearned(worker="w", card=card("paint"), keep=True),
    ]
    for number, payload in enumerate(said):
        kept.take(envelop(payload, id=f"e{number}", source="/w", at=at, tenant="t"))
    [one] = kept.by(Registry((module,), ("paint",)))
    assert one.card.id == "gild"
    assert not kept.is_old(one, at.timestamp() + 3600)
    assert kept.is_old(one, at.timestamp() + 2 * 24 * 3600)
