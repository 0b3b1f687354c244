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
    heard: dict[tuple[str, str], str] = {}

    async def hear(msg: object) -> None:
        order = AttemptOrder.model_validate_json(msg.data)  # type: ignore[attr-defined]
        assert order.given is not None
        heard[order.mission, order.task] = order.given.worker

    nc = await connect(nats_url(shared.settings), name="listener")
    await nc.subscribe(ORDERS, cb=hear)
    try:
        async with asyncio.timeout(60):
            while not heard:  # where the machine is busy, a worker may have waited in vain: that is no fault
                mission = await client.submit("a chain", plan=_chain())
                view = await mission.outcome(timeout_s=50)
                assert view.status == "completed"
                events = [event async for event in mission.events(follow=False)]
                started = [event.data_as_dict() for event in events if event.type == "attempt.started"]
                assert len(started) == len({(one["task"], one["attempt"]) for one in started})
                assert len({one["task"] for one in started}) == _LINKS
                given = {one["task"]: one["worker"] for one in started if one["attempt"] == 1}
                for (_, task), worker in heard.items():
                    assert given.get(task, worker) == worker  # nobody else makes it
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
