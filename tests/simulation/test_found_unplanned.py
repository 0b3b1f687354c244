"""Bugs about missions whose orchestrator died between their submission and their plan, each as the shortest course."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestrator.admission import Limits
from orchestrator.service import Orchestrator
from schemas.commands import (
    AnswerTask,
    CancelMission,
    Command,
    PauseMission,
    ResumeMission,
    RetryMission,
    SettleBallot,
    SubmitMission,
)
from schemas.errors import InvalidWorkflow
from schemas.plan import Plan, TaskSpec
from tests.simulation.fleet import NoPlanner
from tests.simulation.test_found import SUBMIT, Office, Unplanned
from tests.simulation.virtual_time import simulate

BEGUN = ["mission.submitted"]
BY_NAME = SubmitMission(id="c9", mission="m", objective="o", workflow="w")


class Forgetful(NoPlanner):
    """Knows its workflow once, and then no more."""

    def __init__(self) -> None:
        self._known = True

    def complete(self, template_name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return dict(inputs)

    async def plan(self, objective: str, template_name: str, inputs: Mapping[str, Any], **_: Any) -> Plan:
        known, self._known = self._known, False
        if not known:
            raise InvalidWorkflow(f"there is no workflow {template_name!r}")
        return Plan(tasks=(TaskSpec(id="a", skill="s"),))


async def _begin(office: Office, submission: SubmitMission, **options: Any) -> None:
    """A submission, over which its orchestrator dies."""
    dying = await office.open(Unplanned(office.log), "dying", **options)
    asked = asyncio.create_task(dying.handle(submission))
    await asyncio.sleep(5.0)
    assert await office.types() == BEGUN
    asked.cancel()
    await office.kill(dying)


@asynccontextmanager
async def _successor(submission: SubmitMission = SUBMIT, **options: Any) -> AsyncIterator[tuple[Office, Orchestrator]]:
    office = Office()
    try:
        await _begin(office, submission, **options)
        yield office, await office.open(office.log, "successor", **options)
    finally:
        await office.close()


@pytest.mark.parametrize(
    "command",
    [
        PauseMission(id="c2", mission="m"),
        ResumeMission(id="c2", mission="m"),
        RetryMission(id="c2", mission="m"),
        AnswerTask(id="c2", mission="m", task="a"),
        SettleBallot(id="c2", mission="m", ballot="b", choice="yes"),
    ],
    ids=lambda command: command.verb,
)
def test_nothing_is_decided_before_the_submission_came_again_and_made_a_plan(command: Command) -> None:
    """The mission was paused, and other commands were answered as if it had been planned."""

    async def main() -> None:
        async with _successor() as (office, successor):
            reply = await successor.handle(command)
            assert (reply.accepted, reply.code, reply.reason) == (False, "refused", "mission 'm' has no plan yet")
            assert "cancel" in reply.hint
            assert await office.types() == [*BEGUN, "command.refused"]
            assert (await successor.handle(SUBMIT)).accepted
            assert (await successor.handle(PauseMission(id="c3", mission="m"))).accepted
            assert [name for name in await office.types() if name.startswith("mission.")] == [
                *BEGUN,
                "mission.planned",
                "mission.paused",
            ]

    simulate(main())


def test_a_mission_without_a_plan_can_be_cancelled_and_is_not_planned_then() -> None:
    async def main() -> None:
        async with _successor() as (office, successor):
            assert (await successor.handle(CancelMission(id="c2", mission="m"))).accepted
            assert (await successor.handle(SUBMIT)).accepted
            assert await office.types() == [*BEGUN, "mission.cancelled"]

    simulate(main())


def test_a_submission_that_comes_again_is_planned_although_there_is_no_room_any_more() -> None:
    """It was refused as one too many, and the mission that it had begun stayed open without a plan for ever."""

    async def main() -> None:
        async with _successor(limits=Limits(busy_above=1)) as (office, successor):
            assert (await successor.handle(SUBMIT.model_copy(update={"id": "c7", "mission": "other"}))).accepted
            again = SUBMIT.model_copy(update={"if_busy": "refuse"})
            assert (await successor.handle(again.model_copy(update={"id": "c8", "mission": "new"}))).code == "busy"
            assert (await successor.handle(again)).accepted
            assert (await office.types()).count("mission.planned") == 2

    simulate(main())


def test_a_mission_is_cancelled_whose_submission_is_refused_when_it_comes_again() -> None:
    """It stayed open without a plan for ever, though its submitter was told that it was refused."""

    async def main() -> None:
        async with _successor(BY_NAME, planner=Forgetful()) as (office, successor):
            for _ in range(2):  # its answer may be lost, too
                reply = await successor.handle(BY_NAME)
                assert (reply.accepted, reply.reason) == (False, "there is no workflow 'w'")
            assert await office.types() == [*BEGUN, "mission.cancelled", "command.refused"]

    simulate(main())


def test_a_submission_that_was_granted_is_not_refused_when_it_comes_again() -> None:
    """The mission ran, and its submitter was told that it did not."""

    async def main() -> None:
        office = Office()
        only = await office.open(office.log, "only", planner=Forgetful())
        try:
            assert (await only.handle(BY_NAME)).accepted
            assert (await only.handle(BY_NAME)).accepted
            assert "command.refused" not in await office.types()
        finally:
            await office.close()

    simulate(main())
