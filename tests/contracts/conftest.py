"""The Redis that the world model is held to its contracts on: the fake, and a real Valkey that is emptied before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis


@pytest.fixture
async def fake() -> AsyncIterator[Any]:
    async with FakeAsyncRedis() as redis:
        yield redis


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Any]:
    async with Redis.from_url(valkey_url) as redis:
        await redis.flushdb()
        yield redis
