"""Workers that died while no task-queue manager was there are told lost by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.port import Window
from events.signals import MemorySignals
from orchestrator.task_queue.service import TaskQueueManager
from schemas.events import Payload, parse
from schemas.events.enveloping import envelop
from schemas.events.fleet import FleetLost
from schemas.events.worker import WorkerJoined, WorkerLeft
from schemas.ids import uuid7
from schemas.signals import Heartbeat, heartbeat_subject
from tests.integration.test_two_orchestrators import Worker, started
from tests.simulation.virtual_time import wall_clock


def joined(worker: str) -> WorkerJoined:
    return WorkerJoined(worker=worker, host="h", pid=1, skills=("s",))


async def lost(log: JetStreamLog) -> list[tuple[str, str]]:
    window = Window(("events.*.*.fleet.>",))
    payloads = [(event.tenant, parse(event)) async for event in log.read(window)]
    return [(tenant, payload.worker) for tenant, payload in payloads if isinstance(payload, FleetLost)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    monkeypatch.setattr("orchestrator.task_queue.roll_call._CALL_S", 0.05)
    return lambda: 20 * 0.05


async def test_who_is_not_heard_is_lost_once(nats: Client, quick: Callable[[], float]) -> None:
    log, signals = await JetStreamLog.open(nats), MemorySignals()

    async def tell(payload: Payload, *, tenant: str = "default") -> None:
        await log.append([envelop(payload, id=uuid7(), source="/worker/x", at=wall_clock(), tenant=tenant)])

    for name in ("gone", "went", "here", "late"):
        await tell(joined(name))
    await tell(joined("elsewhere"), tenant="acme")
    await tell(WorkerLeft(worker="went"))

    async def beat(*names: str) -> None:
        for name in names:
            await signals.send(heartbeat_subject(name), msgspec.json.encode(Heartbeat(worker=name, skills=("s",))))

    async def serve(name: str) -> asyncio.Task[None]:
        manager = TaskQueueManager(log, signals, lambda _: Worker(log, signals), name=name, clock=wall_clock)
        return await started(manager.run)

    running = [await serve("1"), await serve("2")]
    try:
        await beat("here")
        await asyncio.sleep(quick() / 2)
        assert await lost(log) == []
        await beat("here", "late")
        async with asyncio.timeout(20):
            while len(await lost(log)) < 2:
                await beat("here", "late")
                await asyncio.sleep(0.1)
        await tell(joined("new"))  # whoever comes later is followed by heartbeats
        running.append(await serve("3"))
        await beat("here", "late", "new")
        await asyncio.sleep(quick() * 2)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert sorted(await lost(log)) == [("acme", "elsewhere"), ("default", "gone")]
    await log.close()
