"""Several processes host a read model that one of them writes: who is asked, the writer answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from events.services import NatsServices
from projections.hosting import Hosted, ProjectionStatus
from projections.port import Progress
from stigmergy.read_models import statuses
from tests.integration.tally import Tally


class Standing(Tally):
    """A tally of which one process is the writer."""

    writer: ClassVar[str] = ""
    rebuilding: ClassVar[asyncio.Event]

    def hosted_by(self, host: str) -> None:
        self.host = host

    async def leader(self) -> str:
        return self.writer

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        progress(1, 2)
        await self.rebuilding.wait()
        return 0


@asynccontextmanager
async def hosted(nats: Client, log: JetStreamLog, folder: Path, host: str) -> AsyncIterator[Hosted]:
    ready = asyncio.Event()
    made = Hosted("tally", lambda: Standing(log, folder), log, NatsServices(nats), host=host, alone=True)
    running = asyncio.create_task(made.run(ready))
    try:
        await asyncio.wait_for(ready.wait(), 10)
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def answers(nats: Client) -> list[ProjectionStatus]:
    found = []
    for _ in range(8):  # any of the two is asked
        answer = (await statuses(NatsServices(nats), "acme", ["tally"]))["tally"]
        assert isinstance(answer, ProjectionStatus)
        found.append(answer)
    return found


@pytest.mark.parametrize("writer", ["one", "two"])
async def test_the_writer_answers_also_of_its_rebuild(nats: Client, tmp_path: Path, writer: str) -> None:
    Standing.writer, Standing.rebuilding = writer, asyncio.Event()
    log = await JetStreamLog.open(nats)
    async with AsyncExitStack() as closing:
        both = [await closing.enter_async_context(hosted(nats, log, tmp_path, host)) for host in ("one", "two")]
        assert {answer.host for answer in await answers(nats)} == {writer}
        asking = NatsServices(nats).ask("acme", "tally.rebuild", b"")
        step = asyncio.ensure_future(anext(asking))
        await asyncio.wait_for(step, 10)
        assert {answer.state for answer in await answers(nats)} == {"rebuilding"}
        assert [(await one.status()).state for one in both if one._host != writer] == ["following"]
        Standing.rebuilding.set()
        assert [part async for part in asking]


async def test_while_the_writer_is_away_a_standby_answers(nats: Client, tmp_path: Path) -> None:
    Standing.writer = "dead"
    log = await JetStreamLog.open(nats)
    async with hosted(nats, log, tmp_path, "one"):
        answer = (await statuses(NatsServices(nats), "acme", ["tally"]))["tally"]
        assert isinstance(answer, ProjectionStatus)
        assert answer.host == "one"
