"""Fixtures shared by all tests: throw-away servers, and clean streams on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog, connect, ensure_streams
from events.jetstream.api import call
from events.memory import MemoryLog
from events.port import Log
from events.sharing import SharedLog
from schemas.errors import ToolMissing
from schemas.ids import uuid7
from stigmergy.local.ephemeral import ThrowAwayServer, nats_server, valkey_server
from tests.contracts.log_bench import Bench


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with its secret, of a NATS server with JetStream that all tests of a session share."""
    yield from _url(nats_server(tmp_path_factory.mktemp("nats")))


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with its secret, of a Valkey server that all tests of a session share."""
    yield from _url(valkey_server(tmp_path_factory.mktemp("valkey")))


@pytest.fixture
async def nats(nats_url: str) -> AsyncIterator[Client]:
    """A connection to the shared server, whose streams are new and empty. Not for two tests at once."""
    nc = await connect(nats_url, name="test")
    try:
        answer = await call(nc, "STREAM.NAMES")
        for name in answer.get("streams") or []:
            await call(nc, f"STREAM.DELETE.{name}")
        await ensure_streams(nc)
        yield nc
    finally:
        await nc.close()


def _url(server: AbstractContextManager[ThrowAwayServer]) -> Iterator[str]:
    try:
        running = server.__enter__()
    except ToolMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error}: {error.hint}")
    try:
        yield running.url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def memory_bench() -> Bench:
    log = MemoryLog()

    async def publish(subject: str, raw: bytes) -> None:
        await log.store(subject, raw, uuid7())

    async def size() -> int:
        return sum(len(stored.raw) for stored in log._messages)

    return Bench(log, publish, size)


@pytest.fixture
async def jetstream_bench(nats: Client) -> AsyncIterator[Bench]:
    js = nats.jetstream()

    async def publish(subject: str, raw: bytes) -> None:
        await js.publish(subject, raw)

    async def size() -> int:
        return int((await call(nats, "STREAM.INFO.EVENTS"))["state"]["bytes"])

    log = await JetStreamLog.open(nats)
    yield Bench(log, publish, size)
    await log.close()


@pytest.fixture
def shared_memory_bench(memory_bench: Bench) -> Bench:
    return replace(memory_bench, log=SharedLog(memory_bench.log, ("events.>",)))


@pytest.fixture
def shared_jetstream_bench(jetstream_bench: Bench) -> Bench:
    return replace(jetstream_bench, log=SharedLog(jetstream_bench.log, ("events.>",)))


@pytest.fixture(params=["memory", "jetstream", "shared_memory", "shared_jetstream"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A log of each kind, empty, and what any other client of its bus could do to it."""
    made: Bench = request.getfixturevalue(f"{request.param}_bench")
    return made


@pytest.fixture
def log(bench: Bench) -> Log:
    """A log of each kind, empty."""
    return bench.log
