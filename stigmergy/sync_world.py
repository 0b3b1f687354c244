"""The world model for programs without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.world.queries import HEAD, Answer, FileView, Summary, WorldView
from projections.world.state import Agent, MissionState, TaskState, TestState, Tree


class SyncWorld:
    """As :class:`~projections.world.queries.WorldView`, with calls that block; ``wait`` takes ``at_least`` and
    ``timeout_s``."""

    def __init__(self, world: WorldView, wait: Callable[[Any], Any]) -> None:
        self._world = world
        self._wait = wait

    def position(self, *, at_least: int = 0, timeout_s: float = 10.0) -> int:
        """How far the model is."""
        position: int = self._wait(self._world.position(at_least=at_least, timeout_s=timeout_s))
        return position

    def summary(self, **wait: Any) -> Answer[Summary]:
        answer: Answer[Summary] = self._wait(self._world.summary(**wait))
        return answer

    def mission(self, mission: str, **wait: Any) -> Answer[MissionState | None]:
        answer: Answer[MissionState | None] = self._wait(self._world.mission(mission, **wait))
        return answer

    def missions(self, *names: str, status: str = "", **wait: Any) -> Answer[tuple[MissionState, ...]]:
        answer: Answer[tuple[MissionState, ...]] = self._wait(self._world.missions(*names, status=status, **wait))
        return answer

    def task(self, mission: str, task: str, **wait: Any) -> Answer[TaskState | None]:
        answer: Answer[TaskState | None] = self._wait(self._world.task(mission, task, **wait))
        return answer

    def tasks(self, mission: str, *names: str, status: str = "", **wait: Any) -> Answer[tuple[TaskState, ...]]:
        answer: Answer[tuple[TaskState, ...]] = self._wait(self._world.tasks(mission, *names, status=status, **wait))
        return answer

    def file(self, mission: str, path: str, *, tree: str = "", **wait: Any) -> Answer[FileView | None]:
        answer: Answer[FileView | None] = self._wait(self._world.file(mission, path, tree=tree, **wait))
        return answer

    def files(
        self, mission: str, *names: str, prefix: str = "", tree: str = HEAD, **wait: Any
    ) -> Answer[tuple[FileView, ...]]:
        asked = self._world.files(mission, *names, prefix=prefix, tree=tree, **wait)
        answer: Answer[tuple[FileView, ...]] = self._wait(asked)
        return answer

    def trees(self, mission: str, **wait: Any) -> Answer[tuple[Tree, ...]]:
        answer: Answer[tuple[Tree, ...]] = self._wait(self._world.trees(mission, **wait))
        return answer

    def test(self, mission: str, test: str, **wait: Any) -> Answer[TestState | None]:
        answer: Answer[TestState | None] = self._wait(self._world.test(mission, test, **wait))
        return answer

    def tests(self, mission: str, *names: str, status: str = "", **wait: Any) -> Answer[tuple[TestState, ...]]:
        answer: Answer[tuple[TestState, ...]] = self._wait(self._world.tests(mission, *names, status=status, **wait))
        return answer

    def agent(self, worker: str, **wait: Any) -> Answer[Agent | None]:
        answer: Answer[Agent | None] = self._wait(self._world.agent(worker, **wait))
        return answer

    def agents(self, *names: str, status: str = "", **wait: Any) -> Answer[tuple[Agent, ...]]:
        answer: Answer[tuple[Agent, ...]] = self._wait(self._world.agents(*names, status=status, **wait))
        return answer
