"""The world model gets by with the rights of a projection on NATS."""

from __future__ import annotations

import asyncio

import pytest
from fakeredis import FakeAsyncRedis

from events.jetstream import JetStreamLog
from events.services import NatsServices
from projections.world.queries import WorldView
from projections.world.remote import RemoteWorld
from projections.world.role import WorldRole
from schemas.errors import Unavailable
from tests.integration.test_nats_permissions import Guarded, role, server

__all__ = ["server"]
pytestmark = pytest.mark.timeout(60)


async def test_the_world_model_needs_no_more_than_a_projection_has(server: Guarded) -> None:
    async with role(server, "projections") as projection, role(server, "client") as client:
        log = await JetStreamLog.open(projection.nc)
        world = WorldRole(log, FakeAsyncRedis(), services=NatsServices(projection.nc))
        ready = asyncio.Event()
        task = asyncio.create_task(world.run(ready))
        await ready.wait()
        try:
            view = WorldView(RemoteWorld(NatsServices(client.nc), "acme"))
            end = await log.last_sequence()
            async with asyncio.timeout(20):
                while await _position(view) < end:
                    await asyncio.sleep(0.05)
            assert (await view.missions()).value == ()
            assert await world.rebuild(None, lambda *_: None) == end
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert not projection.refused
        assert not client.refused


async def _position(view: WorldView) -> int:
    try:
        return await view.position()
    except Unavailable:
        return -1  # it has only begun
