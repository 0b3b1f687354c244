"""The world as it is at one event: missions, tasks, files, tests, agents, budgets of one tenant. Frozen throughout.

What is stored is written as arrays: a new field goes to the end, with a default, and changes :data:`FORMAT`.
Times are RFC 3339 strings in UTC, as events carry them.
"""

from __future__ import annotations

from enum import StrEnum

from immutables import Map
from msgspec import Struct

FORMAT = 1
"""Counts up when a shape below changes: a store of another format is folded anew."""
KEPT_WRITES = 64
"""Writes of one file that are kept, newest first."""
KEPT_RUNS = 20
"""Runs of one test that are kept, newest first."""
KEPT_TREES = 512
"""File trees of one mission that are kept."""
KEPT_GONE = 200
"""Workers that have left or were lost and are still listed."""


_MOST = 2**63 - 1


def bounded(number: object) -> int:
    """An integer that can be stored; 0 for what is none. Anybody may put nonsense on a bus."""
    return max(-_MOST, min(number, _MOST)) if isinstance(number, int) else 0


class TaskStatus(StrEnum):
    """How far a task is, with its present attempt."""

    PLANNED = "planned"
    READY = "ready"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    REPORTED = "reported"
    JUDGED = "judged"
    RETRYING = "retrying"
    VOTING = "voting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.CANCELLED})


class AgentStatus(StrEnum):
    """What a worker does. ``draining``: it ends what it has and takes no more."""

    READY = "ready"
    EXECUTING = "executing"
    DRAINING = "draining"
    LEFT = "left"
    LOST = "lost"

    @property
    def gone(self) -> bool:
        return self in (AgentStatus.LEFT, AgentStatus.LOST)


class Word(Struct, frozen=True, array_like=True):
    """What an attempt reported and nobody has confirmed yet.

    Attributes:
        changes: path to ``added``, ``modified`` or ``deleted``.
        contents: path to the content's hash, as far as it was observed.
        tree, files, size_bytes: the tree that the attempt left; empty if it left none.
    """

    worker: str
    outcome: str
    at: str
    changes: dict[str, str] = {}
    contents: dict[str, str] = {}
    tree: str = ""
    files: int = 0
    size_bytes: int = 0


class TaskState(Struct, frozen=True, array_like=True):
    """One task. ``base`` is the tree that its present attempt was given, with what other tasks (``onto``: task, tree)
    made of the same files merged into it; ``word`` waits for its verdict. ``owner``: the task that is settled by it.
    ``cpu_s`` is of all its attempts, as ``seconds`` is, ``peak_memory_bytes`` the most of one; ``part_of`` is the task
    instead of which it is done."""

    id: str
    skill: str = ""
    title: str = ""
    goal: str = ""
    needs: tuple[str, ...] = ()
    status: TaskStatus = TaskStatus.PLANNED
    attempt: int = 0
    worker: str = ""
    agent: str = ""
    queue: str = ""
    base: str = ""
    word: Word | None = None
    violations: int = 0
    seconds: float = 0.0
    reason: str = ""
    started_at: str = ""
    ended_at: str = ""
    sequence: int = 0
    onto: tuple[tuple[str, str], ...] = ()
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    owner: str = ""
    part_of: str = ""


class FileWrite(Struct, frozen=True, array_like=True):
    """A confirmed change of one file: what it is in ``tree``. ``content``: git's id; empty if deleted or unseen."""

    tree: str
    change: str
    content: str
    task: str
    attempt: int
    worker: str
    at: str
    sequence: int


class FileState(Struct, frozen=True, array_like=True):
    """One path: its confirmed writes, newest first. Parallel branches write different trees."""

    path: str
    writes: tuple[FileWrite, ...] = ()

    def within(self, lineage: tuple[str, ...]) -> FileWrite | None:
        """The write that made the file what it is in a tree, whose ``lineage`` leads from it back to its bases."""
        by_tree = {write.tree: write for write in reversed(self.writes)}
        return next((by_tree[tree] for tree in lineage if tree in by_tree), None)


class Tree(Struct, frozen=True, array_like=True):
    """A confirmed file tree and what it was made of: ``base``, empty if it was made of nothing, with ``sides`` merged
    into it."""

    id: str
    base: str
    task: str
    attempt: int
    files: int
    size_bytes: int
    sequence: int
    sides: tuple[str, ...] = ()


class Claim(Struct, frozen=True, array_like=True):
    """Files that a task's open attempt may change: what it claimed, else what is expected of it. A pattern may name a
    part of a file: ``src/money.py::Money.add``."""

    task: str
    attempt: int
    patterns: tuple[str, ...]
    worker: str
    since: str


class TestRun(Struct, frozen=True, array_like=True):
    """One outcome of one test: passed, failed, error, skipped, xfailed, or timeout.

    ``tree`` is the tree that was tested, empty where it is not certain.
    """

    __test__ = False
    outcome: str
    tree: str
    duration_s: float
    flaky: bool
    task: str
    attempt: int
    at: str
    sequence: int


class TestState(Struct, frozen=True, array_like=True):
    """One test: its runs, newest first, and how often it passed and failed in all.

    ``flaky``: the runner saw it fail and then pass, or the same tree gave it both outcomes. It stays so.
    """

    __test__ = False
    id: str
    runs: tuple[TestRun, ...] = ()
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    flaky: bool = False

    @property
    def outcome(self) -> str:
        return self.runs[0].outcome if self.runs else "unknown"


class Suite(Struct, frozen=True, array_like=True):
    """The last run of a mission's test suite."""

    outcome: str
    passed: int
    failed: int
    skipped: int
    flaky: int
    duration_s: float
    tree: str
    task: str
    attempt: int
    at: str
    sequence: int


class Budget(Struct, frozen=True, array_like=True):
    """What may be spent and what was, by unit: those of :class:`~schemas.budgets.Budget`; spent are ``tokens_in`` and
    ``tokens_out`` as well, and a limit may also be ``wall_s``, the seconds until the deadline."""

    limits: dict[str, float] = {}
    spent: dict[str, float] = {}


class MissionState(Struct, frozen=True, array_like=True):
    """One mission. ``head`` is the newest confirmed tree, ``root`` the one it began with."""

    id: str
    status: str = "running"
    objective: str = ""
    workflow: str = ""
    submitted_by: str = ""
    labels: dict[str, str] = {}
    submitted_at: str = ""
    ended_at: str = ""
    reason: str = ""
    tasks: dict[str, int] = {}
    root: str = ""
    head: str = ""
    violations: int = 0
    suite: Suite | None = None
    budget: Budget = Budget()
    sequence: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")


class Agent(Struct, frozen=True, array_like=True):
    """A worker process: what it can, what it does, and what became of its attempts, by skill (good, bad)."""

    worker: str
    status: AgentStatus = AgentStatus.READY
    host: str = ""
    pid: int = 0
    skills: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    running: tuple[tuple[str, str, int], ...] = ()
    outcomes: dict[str, tuple[int, int]] = {}
    joined_at: str = ""
    seen_at: str = ""
    reason: str = ""
    sequence: int = 0


class Mission(Struct, frozen=True):
    """All that is known of one mission. Its parts are stored one by one."""

    state: MissionState
    tasks: Map[str, TaskState] = Map()
    files: Map[str, FileState] = Map()
    trees: Map[str, Tree] = Map()
    claims: Map[str, Claim] = Map()
    tests: Map[str, TestState] = Map()

    def lineage(self, tree: str) -> tuple[str, ...]:
        """``tree`` and what it was made of, newest first, as far as it is known."""
        return lineage(self.trees, tree)


class World(Struct, frozen=True):
    """The world of one tenant, as of the event at ``position``. ``unreadable``: events that changed nothing because
    this release cannot read them."""

    tenant: str
    position: int = 0
    missions: Map[str, Mission] = Map()
    agents: Map[str, Agent] = Map()
    unreadable: int = 0


def lineage(
    trees: Map[str, Tree] | dict[str, Tree], tree: str, _above: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """As :meth:`Mission.lineage`: each tree, what is new in the sides merged into it (the last side first), its base.

    A tree that came back (a change undone) ends the walk.
    """
    way: dict[str, None] = {}
    while tree and tree not in way and tree not in _above:
        way[tree] = None
        made = trees.get(tree)
        tree = made.base if made is not None else ""
    found: list[str] = []
    for name in reversed(way):
        made, own = trees.get(name), dict[str, None]()
        for side in reversed(made.sides) if made is not None else ():
            own.update(dict.fromkeys(lineage(trees, side, _above | way.keys())))
        known = set(found)
        found = [name, *(one for one in own if one not in known), *found]
    return tuple(found)
