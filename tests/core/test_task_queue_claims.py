"""Tasks that want the same files: when two claims overlap, who waits, who builds on whom; nobody waits for ever."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.task_queue.patterns import overlapping
from schemas.attempts import Failure
from schemas.claims import paths_of
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.task import TaskReady
from schemas.events.world import WorldConfirmed
from tests.core.test_task_queue_floor import Bench

BASE = {"tree": "b" * 40}
_patterns = st.text(alphabet="ab*?/", max_size=6)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src/*", "src/deep/b.py", True),
        ("src/*.py", "*/a.*", True),
        ("src/*.py", "tests/*", False),
        ("*.py", "*.md", False),
        ("a[12].py", "a1.py", True),
        ("a[12].py", "?[!1].py", True),
        ("m.py::Money.add", "m.py::Money.sub", False),
        ("m.py::Money", "m.py::Money.sub", True),
        ("m.py::Money", "m.py::Moneybag", False),
        ("m.py", "m.py::Money.sub", True),
        ("*.py::f", "m.py::f", True),
        ("*.py::f", "m.md::f", False),
    ],
)
def test_claims_overlap_where_they_can_mean_the_same_place(one: str, other: str, together: bool) -> None:
    assert (overlapping([one], [other]) is not None) is together
    assert (overlapping([other], [one]) is not None) is together


@given(_patterns, _patterns, st.lists(st.text(alphabet="ab/", max_size=6), max_size=30))
def test_no_common_path_is_overlooked(one: str, other: str, paths: list[str]) -> None:
    if any(fnmatchcase(path, one) and fnmatchcase(path, other) for path in paths):
        assert overlapping([one], [other]) == one


@given(_patterns, st.text(alphabet="ab/", max_size=6))
def test_a_plain_path_overlaps_exactly_the_patterns_it_fits(pattern: str, path: str) -> None:
    assert (overlapping([path], [pattern]) is not None) == fnmatchcase(path, pattern)


def test_a_claim_names_its_paths_once() -> None:
    assert paths_of(["m.py::f", "m.py::g", "src/*"]) == ("m.py", "src/*")


class Files(Bench):
    """A floor whose tasks change files."""

    def __init__(self) -> None:
        super().__init__("s")

    def ready(self, task: str, *writes: str, priority: int = 5, attempt: int = 1, strategy: Any = "serialise") -> None:
        self.put(
            TaskReady(
                task=task,
                attempt=attempt,
                skill="s",
                workspace=BASE,
                writes=writes,
                on_conflict=strategy,
                priority=priority,
            )
        )

    def dispatched(self) -> list[ActionDispatched]:
        return [fact for fact in self.advance() if isinstance(fact, ActionDispatched)]

    def names(self) -> list[str]:
        return [fact.task for fact in self.dispatched()]

    def finish(self, task: str, attempt: int = 1) -> list[Payload]:
        """The attempt is made and judged; what else is decided with it."""
        self.put(
            AttemptStarted(task=task, attempt=attempt, worker="w", agent="g"),
            AttemptFinished(task=task, attempt=attempt, worker="w", outcome="succeeded", product={"tree": task * 3}),
        )
        return self.advance()


def onto(facts: list[Payload]) -> dict[str, list[str]]:
    return {f.task: [one.task for one in f.order.onto] for f in facts if isinstance(f, ActionDispatched)}


def test_of_two_that_want_the_same_file_one_waits_and_builds_on_the_other() -> None:
    floor = Files()
    floor.ready("a", "src/a.py")
    floor.ready("b", "src/*")
    floor.ready("c", "docs/*")
    assert floor.names() == ["a", "c"]
    assert floor.names() == []
    facts = floor.finish("a")
    assert isinstance(facts[0], WorldConfirmed)
    assert onto(facts + floor.advance()) == {"b": ["a"]}
    order = floor.floor.attempts["b"].order
    assert order is not None
    assert order.onto[0].snapshot == {"tree": "aaa"}
    assert order.workspace == BASE


def test_who_merges_waits_for_nobody_and_builds_on_nobody() -> None:
    floor = Files()
    floor.ready("a", "x.py")
    assert floor.names() == ["a"]
    floor.ready("b", "x.py", strategy="merge")
    assert floor.names() == ["b"]
    floor.ready("c", "x.py")
    assert floor.names() == []
    floor.finish("a")
    assert floor.names() == []
    assert onto([*floor.finish("b"), *floor.advance()]) == {"c": ["a", "b"]}


def test_different_symbols_of_a_file_go_side_by_side() -> None:
    floor = Files()
    floor.ready("a", "m.py::Money.add")
    floor.ready("b", "m.py::Money.sub")
    assert sorted(floor.names()) == ["a", "b"]


def test_a_chain_builds_on_its_last_link_only() -> None:
    floor = Files()
    for task in "abc":
        floor.ready(task, "x.py", *(["y.py"] if task == "b" else []))
    assert floor.names() == ["a"]
    assert onto([*floor.finish("a"), *floor.advance()]) == {"b": ["a"]}
    assert onto([*floor.finish("b"), *floor.advance()]) == {"c": ["b"]}
    floor.finish("c")
    floor.ready("d", "y.py")
    assert onto(floor.advance()) == {"d": ["c"]}, "what b did to y.py is in the tree that c left"


def test_the_more_urgent_goes_first_and_one_that_wants_much_is_not_passed_over() -> None:
    floor = Files()
    floor.ready("a", "x.py")
    assert floor.names() == ["a"]
    floor.ready("all", "*")
    floor.ready("late", "z.py")
    assert floor.names() == [], "z.py is free, but whoever waits for all files came first"
    floor.ready("urgent", "z.py", priority=9)
    assert floor.names() == ["urgent"]


def test_a_claim_ends_with_its_attempt_whichever_way() -> None:
    floor = Files()
    floor.ready("a", "x.py")
    floor.ready("b", "x.py")
    assert floor.names() == ["a"]
    lost = Failure(code="worker_lost", message="gone", retryable=True)
    floor.put(ActionExpired(task="a", attempt=1, worker="w", failure=lost))
    assert onto(floor.advance()) == {"b": []}
    floor.ready("a", "x.py", attempt=2)
    assert floor.names() == []
    assert onto([*floor.finish("b"), *floor.advance()]) == {"a": ["b"]}


_claims = st.lists(st.sampled_from(["a", "b", "c", "d", "*", "a::f", "a::g", "[ab]"]), min_size=1, max_size=3)


@given(
    st.lists(st.tuples(_claims, st.integers(0, 9), st.sampled_from(["serialise", "serialise", "merge"])), max_size=8),
    st.randoms(use_true_random=False),
)
def test_nobody_waits_for_ever_and_nobody_clashes(tasks: list[tuple[list[str], int, str]], rng: Any) -> None:
    floor = Files()
    for number, (writes, priority, strategy) in enumerate(tasks):
        floor.ready(f"t{number}", *writes, priority=priority, strategy=strategy)
    open_: dict[str, ActionDispatched] = {}
    done: set[str] = set()
    while len(done) < len(tasks):
        for fact in floor.dispatched():
            if tasks[int(fact.task[1:])][2] == "serialise":
                clash = [o for o in open_.values() if overlapping(fact.order.claims, o.order.claims)]
                assert not clash, f"{fact.task} beside {clash[0].task}"
            open_[fact.task] = fact
        assert open_, f"{len(tasks) - len(done)} tasks wait for one another"
        ended = rng.choice(sorted(open_))
        del open_[ended]
        done.add(ended)
        for fact in floor.finish(ended):
            if isinstance(fact, ActionDispatched):
                open_[fact.task] = fact
