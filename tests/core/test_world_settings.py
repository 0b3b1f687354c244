"""Where the world model's Redis is."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from projections.world.cache import CachedWorld
from projections.world.connecting import connect
from schemas.errors import InvalidInput
from stigmergy.settings import Settings
from stigmergy.wiring import world_redis


def made(tmp_path: Path, **urls: str) -> Settings:
    return Settings(state_dir=tmp_path, redis_url="redis://queues:1", **urls)


def test_it_is_the_queues_redis_unless_it_has_its_own(tmp_path: Path) -> None:
    own = world_redis(made(tmp_path, world_url="redis://:secret@world:2/3"))
    assert isinstance(own, Redis)
    assert own.connection_pool.connection_kwargs["host"] == "world"
    shared = world_redis(made(tmp_path))
    assert isinstance(shared, Redis)
    assert shared.connection_pool.connection_kwargs["host"] == "queues"


def test_it_may_be_a_cluster_which_has_no_cache(tmp_path: Path) -> None:
    cluster = world_redis(made(tmp_path, world_url="redis+cluster://node:7000"))
    assert isinstance(cluster, RedisCluster)
    with pytest.raises(InvalidInput, match="not a cluster"):
        CachedWorld(cluster, "t")


def test_another_kind_of_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="STIGMERGY_WORLD_URL"):
        made(tmp_path, world_url="http://world:1")
    assert isinstance(connect("unix:///run/redis.sock"), Redis)
