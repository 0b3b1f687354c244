"""A chain of short tasks: the worker that has just finished is handed the next one directly."""

from __future__ import annotations

import asyncio

import pytest

from events.jetstream import connect
from schemas.attempts import AttemptOrder
from schemas.plan import Plan, TaskSpec
from schemas.signals import ORDERS
from stigmergy import Client
from stigmergy.wiring import nats_url
from tests.acceptance.stack import Stack

pytestmark = pytest.mark.xdist_group("acceptance")
_LINKS = 20


async def test_a_chain_goes_from_hand_to_hand(shared: Stack, client: Client) -> None:
    heard: set[tuple[str, str]] = set()

    async def hear(msg: object) -> None:
        order = AttemptOrder.model_validate_json(msg.data)  # type: ignore[attr-defined]
        heard.add((order.mission, order.task))

    nc = await connect(nats_url(shared.settings), name="listener")
    await nc.subscribe(ORDERS, cb=hear)
    try:
        async with asyncio.timeout(60):
            while not heard:  # where the machine is busy, a worker may have waited in vain: that is no fault
                mission = await client.submit("a chain", plan=_chain())
                view = await mission.outcome(timeout_s=50)
                assert view.status == "completed"
                started = [
                    (event.subject, event.data_as_dict()["attempt"])
                    async for event in mission.events(follow=False)
                    if event.type == "attempt.started"
                ]
                assert len(started) == len(set(started))
                assert len({task for task, _ in started}) == _LINKS
    finally:
        await nc.close()


def _chain() -> Plan:
    names = [f"link-{number}" for number in range(_LINKS)]
    return Plan(
        tasks=tuple(
            TaskSpec(id=name, skill="echo", needs=tuple(names[max(0, place - 1) : place]))
            for place, name in enumerate(names)
        )
    )
