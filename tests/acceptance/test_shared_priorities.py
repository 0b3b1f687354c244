"""A low priority that one task-queue manager leads gets its turns beside a stream of urgent work that another leads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.ids import uuid7
from schemas.leaders import part_of
from schemas.plan import Plan, TaskSpec
from stigmergy import Client
from stigmergy.local.ephemeral import nats_server, valkey_server
from tests.acceptance.missions import of, until
from tests.acceptance.test_replicas import Replicas, shared_by

pytestmark = pytest.mark.xdist_group("acceptance-replicas")
_URGENT, _LOW = 1500, 5


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Replicas]:
    with nats_server(tmp_path / "n") as nats, valkey_server(tmp_path / "v") as valkey:
        stack = Replicas(tmp_path, nats.url, nats, valkey, skill_grace_s=30.0)
        try:
            stack.serve("orchestrator")
            for number in range(2):
                stack.replica("task-queue", number)
            stack.pool(2)
            stack.await_ready()
            yield stack
        finally:
            stack.end()


def plan(count: int, priority: int) -> Plan:
    tasks = (TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.03}, priority=priority) for n in range(count))
    return Plan(tasks=tuple(tasks))


def led_by(owner: str, owners: dict[int, str]) -> str:
    """The id of a mission that this manager will lead."""
    ids = (str(uuid7()) for _ in range(10_000))
    return next(name for name in ids if owners[part_of("default", name, len(owners))] == owner)


async def test_what_is_less_urgent_is_done_while_urgent_work_of_another_manager_goes_on(two: Replicas) -> None:
    async with Client(two.settings) as client:
        owners = await shared_by(client, "task-queue", 2)
        one, other = sorted(set(owners.values()))
        urgent = await client.submit("urgent", plan=plan(_URGENT, 9), mission=led_by(one, owners))
        await until(urgent, of("task.succeeded"), count=20)
        low = await client.submit("low", plan=plan(_LOW, 6), mission=led_by(other, owners))
        assert (await low.outcome(timeout_s=60)).status == "completed"
        view = await urgent.view()
        done = sum(task.status == "succeeded" for task in view.tasks)
        print(f"{done} of {_URGENT} urgent tasks were done when the {_LOW} others were")
        assert view.status == "running"
        # Of nine turns it has one, in messages of one to a few attempts; and it does not overtake what is urgent.
        assert 20 + 2 * _LOW < done < _URGENT / 2
        await urgent.cancel("seen")
