"""Asking the planner about tasks that are stuck, and recording what it says.

That a task is stuck is on the log (``task.stuck``), and so is the answer (``task.replanned``, or ``task.failed`` where
there is no other way): folding never asks. Whoever dies between the two leaves the question open, and it is asked again
by the next one who reads of it. Replicas may ask at the same time; the log takes one answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from orchestrator.core.handing import skill_of
from orchestrator.core.mission import Mission, TaskState, TaskStatus
from orchestrator.core.recovery import NO_RULE
from orchestrator.core.replanning import no_way, replanned, stuck_tasks
from orchestrator.desks import Desk, Desks
from orchestrator.planning import Impasse, Planner
from schemas.errors import InvalidInput, StigmergyError
from schemas.events import Payload
from schemas.plan import TaskSpec

_log = logging.getLogger(__name__)
_AT_ONCE = 8
_AGAIN_S = 0.5
_LOOKED_EVERY_S = 1.0

type Question = tuple[str, str, str, int, int]
"""Tenant, mission, task, attempt, how often it was replanned before."""


class Replanning:
    """Gets an answer for every task that is stuck.

    Args:
        timeout_s: how long the planner may think about one of them.
    """

    def __init__(self, planner: Planner, *, timeout_s: float = 120.0) -> None:
        self._planner = planner
        self._name = type(planner).__name__
        self._timeout_s = timeout_s
        self._news = asyncio.Event()
        self._asking: dict[Question, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def notice(self) -> None:
        """A task got stuck."""
        self._news.set()

    async def run(self, desks: Desks[Mission]) -> None:
        """Ask about what is stuck now, and about what gets stuck, for ever."""
        try:
            while True:
                # Missions that were taken over from another orchestrator may have been stuck before: nobody tells.
                for desk in desks.all():
                    self._look(desks, desk)
                await self._raise_failed()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOKED_EVERY_S):
                        await self._news.wait()
                self._news.clear()
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _look(self, desks: Desks[Mission], desk: Desk[Mission]) -> None:
        for name in stuck_tasks(desk.state) if desk.state.agenda else ():
            question = _question(desk.state, name)
            if question not in self._asking:
                self._asking[question] = asyncio.create_task(self._settle(desks, desk, question))

    async def _raise_failed(self) -> None:
        """Forget questions that were answered; a flaw of ours must not go unnoticed."""
        for question, task in list(self._asking.items()):
            if task.done():
                del self._asking[question]
                await task

    async def _settle(self, desks: Desks[Mission], desk: Desk[Mission], question: Question) -> None:
        name = question[2]

        def is_open() -> bool:
            return name in stuck_tasks(desk.state) and _question(desk.state, name) == question

        def decision(state: Mission) -> list[Payload]:
            return [_fact(state, name, answer, self._name)] if is_open() else []

        async with self._turn:
            if not is_open():
                return
            answer = await self._ask(desk.state, desk.state.tasks[name])
        while is_open():
            try:
                await desks.decide(desk, decision)
            except StigmergyError as error:
                _log.warning("the planner's answer about task %s cannot be recorded: %s", name, error)
                answer = f"gave an answer that cannot be recorded: {error.message}"
            if is_open():
                await asyncio.sleep(_AGAIN_S)  # the log was not there, or another replica has just decided something

    async def _ask(self, mission: Mission, task: TaskState) -> Sequence[TaskSpec] | str:
        """Other tasks, or in words why there are none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._planner.another_way(_impasse(mission, task)) or "knows no other way"
        except TimeoutError:
            return f"has not answered within {self._timeout_s:g} s"
        except StigmergyError as error:
            return f"has no answer: {error.message}"
        except Exception as error:  # noqa: BLE001 - it is logged, and the task fails of it
            # Somebody else's code. The mission has to go on, and the reason belongs into it.
            _log.exception("the planner failed over task %s of mission %s", task.spec.id, mission.id)
            return f"failed: {type(error).__name__}: {error}"


def _question(mission: Mission, name: str) -> Question:
    task = mission.tasks[name]
    return mission.tenant, mission.id, name, task.attempt, task.rounds


def _impasse(mission: Mission, task: TaskState) -> Impasse:
    assert task.failure is not None
    assert task.status is TaskStatus.STUCK
    return Impasse(
        tenant=mission.tenant,
        mission=mission.id,
        objective=mission.objective,
        workflow=mission.workflow,
        inputs=mission.inputs,
        task=task.spec,
        attempt=task.attempt,
        failure=task.failure,
        violations=task.feedback,
        wanted="otherwise" if task.recovered[-1:] == (NO_RULE,) else "smaller_step",
        asked=task.rounds,
        skill=skill_of(task),
        handed=task.handed,
    )


def _fact(mission: Mission, name: str, answer: Sequence[TaskSpec] | str, by: str) -> Payload:
    task = mission.tasks[name]
    if isinstance(answer, str):
        return no_way(task, by, answer[:1000])
    try:
        fact = replanned(mission, task, answer, by)
        fact.model_dump_json()
    except InvalidInput as error:
        return no_way(task, by, f"gave an answer that does not fit: {error.message}")
    except (AttributeError, TypeError, ValueError) as error:  # somebody else's objects, or JSON that is none
        return no_way(task, by, f"gave an answer that is no list of tasks: {error}")
    return fact
