"""The workspace that an attempt begins with when its task was handed over, and what its changes are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from schemas.attempts import Action, AttemptOrder
from schemas.events import Payload
from schemas.events.agent import AgentTookOver
from schemas.events.workspace import WorkspaceConflicted
from schemas.handoff import Earlier, Handed
from schemas.workspaces import Snapshot
from tests.integration.workspace_trees import need_git, write
from workers.attempt import _merged_before, _product
from workers.bench import Bench
from workers.context import Context
from workers.reporting import Reporter
from workers.stopping import StopFlag
from workers.workspaces import FileBlobs, WorkspaceStore

LINES = [f"line {i}\n" for i in range(40)]


class Told:
    """Takes down what is recorded."""

    def __init__(self) -> None:
        self.facts: list[Payload] = []

    def emit(self, _order: AttemptOrder, payload: Payload) -> None:
        self.facts.append(payload)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    need_git()
    return Bench(tmp_path / "state", FileBlobs(tmp_path / "blobs"))


@pytest.fixture
def store(bench: Bench) -> WorkspaceStore:
    return bench.workspaces


def tree(store: WorkspaceStore, folder: Path, base: Snapshot | None = None, **changes: str) -> Snapshot:
    """A tree of ``a.py`` and ``b.py``, with these lines changed: ``a3="new"``."""
    files = {"a": LINES.copy(), "b": LINES.copy()}
    for place, text in changes.items():
        files[place[0]][int(place[1:])] = f"{text}\n"
    return store.snapshot(write(folder, {f"{name}.py": "".join(lines) for name, lines in files.items()}), base=base)


def context(
    bench: Bench, base: Snapshot | None, given: Snapshot | None, *, onto: tuple[Earlier, ...] = (), known: Any = ()
) -> tuple[Context, Told]:
    handed = Handed(skill="s", attempt=1, why="?", workspace=given.model_dump() if given else None, onto=known)
    order = AttemptOrder(
        tenant="t",
        mission="m",
        task="a",
        attempt=2,
        skill="x",
        action=Action(tool="x"),
        workspace=base.model_dump() if base else None,
        onto=onto,
        handed=handed,
    )
    told = Told()
    made = Context(order, bench, cast(Reporter, told), StopFlag())
    made.prepare()
    return made, told


def side(snapshot: Snapshot, task: str = "other") -> Earlier:
    return Earlier(task=task, snapshot=snapshot.model_dump())


def test_it_begins_with_what_the_giver_left(bench: Bench, store: WorkspaceStore, tmp_path: Path) -> None:
    base = tree(store, tmp_path / "base")
    given = tree(store, tmp_path / "given", base, a3="given")
    made, told = context(bench, base, given)
    assert told.facts == [AgentTookOver(task="a", attempt=2, giver=1, tree=given.tree)]
    assert (made.workspace / "a.py").read_text().splitlines()[3] == "given"
    (made.workspace / "b.py").write_text("mine\n")
    product, changes = _product(made)
    assert product is not None
    assert changes is not None
    assert {change.path for change in changes} == {"a.py", "b.py"}  # it answers for all of it


def test_one_that_changes_nothing_more_passes_on_what_it_was_given(
    bench: Bench, store: WorkspaceStore, tmp_path: Path
) -> None:
    base = tree(store, tmp_path / "base")
    given = tree(store, tmp_path / "given", base, a3="given")
    made, _ = context(bench, base, given)
    product, changes = _product(made)
    assert product == given.model_dump(mode="json")
    assert [change.path for change in changes or ()] == ["a.py"]


def test_without_a_workspace_of_its_own_the_task_goes_on_with_the_givers(
    bench: Bench, store: WorkspaceStore, tmp_path: Path
) -> None:
    given = tree(store, tmp_path / "given", a3="given")
    made, _ = context(bench, None, given)
    assert (made.workspace / "a.py").exists()
    product, changes = _product(made)
    assert product is not None
    assert (product["tree"], changes) == (given.tree, ())


def test_what_was_made_since_is_merged_in_and_what_the_giver_had_is_not_again(
    bench: Bench, store: WorkspaceStore, tmp_path: Path
) -> None:
    base = tree(store, tmp_path / "base")
    first = tree(store, tmp_path / "first", base, a20="first")
    given = tree(store, tmp_path / "given", base, a20="first, mended", a3="given")  # on top of the first
    since = tree(store, tmp_path / "since", base, b5="since")
    onto = (side(first, "one"), side(since, "two"))
    made, told = context(bench, base, given, onto=onto, known=(side(first, "one"),))
    lines = (made.workspace / "a.py").read_text().splitlines()
    assert (lines[3], lines[20]) == ("given", "first, mended")
    assert (made.workspace / "b.py").read_text().splitlines()[5] == "since"
    assert not [fact for fact in told.facts if isinstance(fact, WorkspaceConflicted)]
    _, changes = _product(made)
    assert [change.path for change in changes or ()] == ["a.py"]  # others' changes are not its own
    assert _merged_before(made) == onto


def test_the_giver_wins_over_what_does_not_fit(bench: Bench, store: WorkspaceStore, tmp_path: Path) -> None:
    base = tree(store, tmp_path / "base")
    given = tree(store, tmp_path / "given", base, a3="given")
    since = tree(store, tmp_path / "since", base, a3="since")
    made, told = context(bench, base, given, onto=(side(since, "two"),))
    assert (made.workspace / "a.py").read_text().splitlines()[3] == "given"
    conflicts = [fact for fact in told.facts if isinstance(fact, WorkspaceConflicted)]
    assert [(fact.side, fact.paths) for fact in conflicts] == [("two", ("a.py",))]
