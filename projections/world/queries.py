"""What can be asked of the world model, the same whether Redis is at hand or a service answers for it.

Every answer says as of which event it is; ``at_least`` waits until the model has come so far.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from msgspec import Struct

from projections.world.state import Agent, MissionState, TaskState, TestState, Tree

About = Literal["position", "summary", "missions", "tasks", "files", "trees", "tests", "agents"]
HEAD = "head"


class Query(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One question.

    Attributes:
        mission: needed for tasks, files, trees and tests.
        names: these only, in this order, where they are; all if there are none.
        prefix: only names (paths) that begin so.
        tree: files as they are in this tree, ``head`` for the newest confirmed one; else each as it was written last.
        status: only those of this status; for tests an outcome, or ``flaky``.
        limit: at most so many.
        at_least: wait until the model has reached this sequence, at most ``timeout_s`` seconds.
    """

    about: About
    mission: str = ""
    names: tuple[str, ...] = ()
    prefix: str = ""
    tree: str = ""
    status: str = ""
    limit: int = 10_000
    at_least: int = 0
    timeout_s: float = 10.0


class Answer[T](Struct, frozen=True, array_like=True):
    """``value`` as it was when all events up to ``position`` had happened."""

    position: int
    value: T


class FileView(Struct, frozen=True, array_like=True):
    """One file: what it is, who wrote it last, and which open attempts may write it now (their tasks).

    ``content`` is git's id of the content; ``change`` is what the last write did; ``writes`` how many are known.
    """

    path: str
    tree: str
    change: str
    content: str
    task: str
    attempt: int
    worker: str
    at: str
    sequence: int
    claimed_by: tuple[str, ...] = ()
    writes: int = 0


class Summary(Struct, frozen=True, array_like=True):
    """A tenant at a glance: missions by status, agents by status, tasks of open missions by status."""

    missions: dict[str, int]
    agents: dict[str, int]
    tasks: dict[str, int]
    spent: dict[str, float]
    generation: int
    unreadable: int = 0


class Asking(Protocol):
    """Whoever can answer a query: with the position, and what :data:`RESULTS` says for its kind."""

    async def ask(self, query: Query) -> Answer[Any]: ...


RESULTS: dict[str, Any] = {
    "position": Answer[None],
    "summary": Answer[Summary],
    "missions": Answer[tuple[MissionState, ...]],
    "tasks": Answer[tuple[TaskState, ...]],
    "files": Answer[tuple[FileView, ...]],
    "trees": Answer[tuple[Tree, ...]],
    "tests": Answer[tuple[TestState, ...]],
    "agents": Answer[tuple[Agent, ...]],
}


class WorldView:
    """The typed questions. All raise :class:`~schemas.errors.Unavailable` if there is no model to ask, and
    :class:`~schemas.errors.TimedOut` if it does not reach ``at_least`` in time."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def position(self, *, at_least: int = 0, timeout_s: float = 10.0) -> int:
        """How far the model is."""
        answer = await self._asking.ask(Query("position", at_least=at_least, timeout_s=timeout_s))
        return answer.position

    async def summary(self, **wait: Any) -> Answer[Summary]:
        return await self._asking.ask(Query("summary", **wait))

    async def mission(self, mission: str, **wait: Any) -> Answer[MissionState | None]:
        """One mission; None if there is none, or it ended so long ago that it is no longer kept."""
        return _only(await self._asking.ask(Query("missions", names=(mission,), **wait)))

    async def missions(
        self, *names: str, status: str = "", limit: int = 10_000, **wait: Any
    ) -> Answer[tuple[MissionState, ...]]:
        """All missions that are kept, newest first; or those named."""
        return await self._asking.ask(Query("missions", names=names, status=status, limit=limit, **wait))

    async def task(self, mission: str, task: str, **wait: Any) -> Answer[TaskState | None]:
        return _only(await self._asking.ask(Query("tasks", mission, names=(task,), **wait)))

    async def tasks(self, mission: str, *names: str, status: str = "", **wait: Any) -> Answer[tuple[TaskState, ...]]:
        return await self._asking.ask(Query("tasks", mission, names=names, status=status, **wait))

    async def file(self, mission: str, path: str, *, tree: str = "", **wait: Any) -> Answer[FileView | None]:
        """One file as it was written last, or as it is in a tree; None if no confirmed attempt wrote it."""
        return _only(await self._asking.ask(Query("files", mission, names=(path,), tree=tree, **wait)))

    async def files(
        self, mission: str, *names: str, prefix: str = "", tree: str = HEAD, **wait: Any
    ) -> Answer[tuple[FileView, ...]]:
        """The files that confirmed attempts wrote, in a tree (the newest if none is named), sorted by path."""
        return await self._asking.ask(Query("files", mission, names=names, prefix=prefix, tree=tree, **wait))

    async def trees(self, mission: str, **wait: Any) -> Answer[tuple[Tree, ...]]:
        """The confirmed trees, oldest first."""
        return await self._asking.ask(Query("trees", mission, **wait))

    async def test(self, mission: str, test: str, **wait: Any) -> Answer[TestState | None]:
        return _only(await self._asking.ask(Query("tests", mission, names=(test,), **wait)))

    async def tests(
        self, mission: str, *names: str, status: str = "", prefix: str = "", **wait: Any
    ) -> Answer[tuple[TestState, ...]]:
        """Tests, sorted by name. ``status``: ``passed``, ``failed``, ``timeout`` …, or ``flaky``."""
        return await self._asking.ask(Query("tests", mission, names=names, status=status, prefix=prefix, **wait))

    async def agent(self, worker: str, **wait: Any) -> Answer[Agent | None]:
        return _only(await self._asking.ask(Query("agents", names=(worker,), **wait)))

    async def agents(self, *names: str, status: str = "", **wait: Any) -> Answer[tuple[Agent, ...]]:
        """Workers, sorted by name; those that left or were lost are among them for a while."""
        return await self._asking.ask(Query("agents", names=names, status=status, **wait))


def _only(answer: Answer[Any]) -> Answer[Any]:
    return Answer(answer.position, answer.value[0] if answer.value else None)
