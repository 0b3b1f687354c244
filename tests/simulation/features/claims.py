"""Tasks that mean to change the same files: claims of patterns and symbols, one after the other or side by side.

The file trees are of paper: a tree is a text for each path, a change one more line, and a merge has the lines of all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from orchestrator.task_queue import rules
from orchestrator.task_queue.claims import Board
from schemas.events.action import ActionDispatched
from schemas.events.attempt import AttemptFinished
from schemas.events.task import TaskReady, TaskSucceeded
from schemas.plan import TaskSpec
from schemas.workspaces import Change, Merged, Snapshot
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.said import Said
from tests.simulation.scenario import Script

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet
    from workers.bench import Bench

_PATHS = ("a.py", "b.py", "src/a.py", "src/b.py", "src/deep/c.py")
_CLAIMS = ("a.py", "b.py", "*.py", "src/*", "src/a.py", "src/deep/?.py", "src/a.py::f", "src/a.py::K", "src/a.py::K.m")
FORBIDDEN = "secret.txt"
"""A path that nobody claims."""

type Tree = dict[str, tuple[str, ...]]


class Paper:
    """The part of a workspace store that attempts use; all trees of a run, by their identity."""

    def __init__(self) -> None:
        self.trees: dict[str, Tree] = {}

    def keep(self, tree: Tree) -> Snapshot:
        """The snapshot of a tree."""
        raw = json.dumps(tree, sort_keys=True).encode()
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        self.trees[name] = tree
        pack = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        return Snapshot(tree=name, packs=(pack,), files=len(tree), size_bytes=len(raw))

    def changed(self, base: Snapshot, other: Snapshot) -> tuple[Change, ...]:
        """Paths whose lines differ."""
        before, after = self.trees[base.tree], self.trees[other.tree]
        paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        return tuple(Change(path=path, kind="modified" if path in before else "added") for path in paths)

    def merge(self, base: Snapshot, sides: Sequence[Snapshot]) -> Merged:
        """The lines of all sides; nothing ever clashes."""
        merged = dict(self.trees[base.tree])
        for side in sides:
            for path, lines in self.trees[side.tree].items():
                merged[path] = (*merged.get(path, ()), *(line for line in lines if line not in merged.get(path, ())))
        return Merged(snapshot=self.keep(merged), conflicts=())


_EMPTY = Paper().keep({})


class _Part(Part):
    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.paper = Paper()
        self.paper.keep({})
        self._counted: dict[tuple[str, str], list[tuple[tuple[int, int], str, AttemptFinished]]] = {}
        self._sent: dict[tuple[tuple[str, str], str, int], tuple[int, int]] = {}
        self.laws = {TaskReady: self._ready, ActionDispatched: self._dispatched, TaskSucceeded: self._succeeded}

    def prepare(self, bench: Bench) -> None:
        """All workers share the trees."""
        vars(bench)["workspaces"] = self.paper

    def act(self, deed: Deed) -> None:
        if deed.context.base is None:
            return
        paths = [path for path in _PATHS if any(_fits(path, claim) for claim in deed.order.claims)]
        written = deed.chance.sample(paths, deed.chance.randint(1, len(paths)))
        if self.fleet.fates.strikes("claim_broken"):
            written.append(FORBIDDEN)
        tree = dict(self.paper.trees[deed.context.base.tree])
        for path in written:
            tree[path] = (*tree.get(path, ()), deed.order.task)
        deed.context.deliver(self.paper.keep(tree))

    def _ready(self, said: Said) -> None:
        task, claims = said.task(), said.payload.writes
        if claims and not task.expects:
            task.expects.append(lambda report: _outside(report, claims))

    def _dispatched(self, said: Said) -> None:
        book, spec = said.book, said.task().spec
        self._sent[book.key, said.payload.task, said.payload.attempt] = said.known or said.place
        if spec.on_conflict != "serialise" or not said.payload.order.claims:
            return
        for name, other in book.tasks.items():
            open_ = other.attempt in other.dispatched and other.attempt not in other.verdicts and not other.ended
            if name != said.payload.task and open_ and not book.ended:
                clash = _clash(said.payload.order.claims, tuple(other.spec.writes))
                said.need(not clash, "no two attempts hold the same files", f"{name} has {clash}")

    def _succeeded(self, said: Said) -> None:
        book, task, event = said.book, said.task(), said.payload
        report = task.reports.get(event.attempt)
        if task.end:
            return  # what was done instead of it has claims of its own
        if report is None or not report.product or not task.spec.writes:
            return
        counted = self._counted.setdefault(book.key, [])
        mine, changes = self.paper.trees[report.product["tree"]], report.observation.changes or {}
        since = self._sent[book.key, event.task, event.attempt]
        if task.spec.on_conflict == "serialise":
            for place, name, other in counted:
                meant = place < since and _clash(task.spec.writes, book.tasks[name].spec.writes)
                for path in sorted({*changes} & {*(other.observation.changes or {})}) if meant else ():
                    said.need(name in mine[path], "no change that counts is lost", f"{path} of {name}")
        counted.append((said.place, event.task, report))


def _fits(path: str, claim: str) -> bool:
    return fnmatchcase(path, claim.partition("::")[0])


def _outside(report: AttemptFinished, claims: Iterable[str]) -> list[str]:
    changes = report.observation.changes
    if changes is None:
        return ["false_done"]
    stray = any(not any(_fits(path, claim) for claim in claims) for path in changes)
    return ["unexpected_change"] if stray else []


def _clash(these: Iterable[str], those: Iterable[str]) -> str:
    """A place that is meant by both, looked for among all paths that there are."""
    for one in these:
        for other in those:
            inner, outer = one.partition("::")[2], other.partition("::")[2]
            nested = f"{inner}.".startswith(f"{outer}.") or f"{outer}.".startswith(f"{inner}.")
            apart = bool(inner and outer) and not nested
            if not apart and any(_fits(path, one) and _fits(path, other) for path in _PATHS):
                return other
    return ""


def _claims_are_not_looked_at() -> Any:
    return patch.object(Board, "in_the_way", lambda *_: None)


def _nobody_builds_on_others() -> Any:
    return patch.object(rules, "earlier", lambda *_: ())


class Claims(Feature):
    """Tasks with claims, half of which want to go one after the other."""

    name, share, part = "claims", 0.25, _Part
    rates: ClassVar = {"claim_broken": 0.08}
    mutants: ClassVar = {
        "claims are not looked at": _claims_are_not_looked_at,
        "nobody builds on what others made": _nobody_builds_on_others,
    }

    def script(self, rng: Random, script: Script) -> Script:
        script = super().script(rng, script)
        inputs = {**script.inputs, "tree": _EMPTY.model_dump(mode="json")}
        return Script(script.tenant, script.mission, script.submit_at, script.plan, inputs, script.wishes)

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        if rng.random() < 0.3:
            return task
        return task.model_copy(
            update={
                "writes": tuple(rng.sample(_CLAIMS, rng.choice((1, 1, 2)))),
                "on_conflict": rng.choice(("serialise", "serialise", "merge")),
                "workspace": "${inputs.tree}",
            }
        )
