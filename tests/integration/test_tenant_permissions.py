"""Users of tenants on a real server: each does and reads what is of its own tenant, and nothing of another's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from events.blobs.port import BlobMissing
from events.jetstream import JetStreamLog
from events.jetstream.api import call
from events.jetstream.commands import JetStreamCommands
from events.port import Window
from events.services import NatsServices
from orchestrator.service import Orchestrator
from schemas.commands import CancelMission, Command, CommandReply
from schemas.errors import InvalidInput, StigmergyError
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from schemas.subjects import EVENTS
from stigmergy import Client
from stigmergy.deploy.nats_permissions import main, render, tenant_grant
from stigmergy.settings import Settings
from tests.integration.guarded import Guarded, may_publish, role, serving
from tests.integration.test_nats_permissions import event
from tests.simulation.fleet import NoPlanner
from tests.simulation.virtual_time import wall_clock

pytestmark = pytest.mark.timeout(120)
TENANTS = ("acme", "beta")
ACME, BETA = "client_acme", "client_beta"
PLAN = Plan(tasks=(TaskSpec(id="a", skill="nobody-has-it"),))


@pytest.fixture(scope="module", params=[False, True], ids=["no blobs", "blobs"])
def blobs(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def server(blobs: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with serving(tmp_path_factory.mktemp("tenants"), tenants=TENANTS, blobs=blobs) as made:
        yield made


@asynccontextmanager
async def orchestrator(server: Guarded) -> AsyncIterator[None]:
    async with role(server, "orchestrator") as me:
        log, commands = await JetStreamLog.open(me.nc), await JetStreamCommands.open(me.nc)
        made = Orchestrator(log, commands, NoPlanner(), name="o", clock=wall_clock)
        ready = asyncio.Event()
        running = asyncio.create_task(made.run(ready))
        await ready.wait()
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert me.refused == []


def client(server: Guarded, tenant: str, folder: Path, user: str = "") -> Client:
    url = server.url(user or f"client_{tenant}")
    return Client(Settings(nats_url=url, tenant=tenant, state_dir=folder))


async def read(log: JetStreamLog, subject: str) -> list[str]:
    return [e.mission async for e in log.read(Window((subject,)))]


async def test_a_client_of_a_tenant_works_as_ever_within_it(server: Guarded, tmp_path: Path) -> None:
    async with orchestrator(server), client(server, "acme", tmp_path) as acme, client(server, "beta", tmp_path) as beta:
        mission = await acme.submit("something", plan=PLAN)
        other = await beta.submit("something else", plan=PLAN)
        assert (await mission.view()).status == "running"
        await mission.cancel("on purpose")
        assert (await mission.outcome(timeout_s=30)).status == "cancelled"
        assert [row.id for row in await acme.missions()] == [mission.id]
        assert [row.id for row in await beta.missions()] == [other.id]
        await acme.publish("note.posted", {"text": "hello"}, mission=mission.id)
        posted = [e async for e in acme.events((f"events.acme.{mission.id}.note.>",), first=1, follow=False)]
        assert len(posted) == 1
        with pytest.raises(InvalidInput, match="there is no mission"):
            await acme.mission(other.id).outcome(timeout_s=5)


async def test_what_it_may_say(server: Guarded) -> None:
    async with role(server, ACME) as me:
        for subject in (
            "commands.acme.cancel",
            "events.acme.m1.note.posted",
            "ask.acme.world.query",
            "ask.acme.analytics.query",
            "ask.acme.task-queue.backlog",
            "ask.acme.world.status",
            "reflex.acme.m1",
            "pools.acme",
        ):
            assert await may_publish(me, subject), subject
            assert not await may_publish(me, subject.replace("acme", "beta")), subject
        for subject in (
            "events.acme.m1.task.succeeded",
            "ask.acme.world.rebuild",
            "reflex.standing",
            "reflex._._",
            "heartbeats.w1",
            "dead.reader.1",
            "_INBOX.client_beta.x",
            f"$JS.API.STREAM.MSG.GET.{EVENTS}",
            f"$JS.API.CONSUMER.CREATE.{EVENTS}.name",
            f"$JS.API.CONSUMER.CREATE.{EVENTS}.name.events.>",
            f"$JS.API.CONSUMER.CREATE.{EVENTS}.name.events.*.*.note.>",
            f"$JS.API.CONSUMER.CREATE.{EVENTS}.name.events.beta.>",
            f"$JS.API.CONSUMER.LIST.{EVENTS}",
            f"$JS.API.CONSUMER.NAMES.{EVENTS}",
        ):
            assert not await may_publish(me, subject), subject


@pytest.mark.parametrize(
    "pattern",
    ["_INBOX.>", "_INBOX.client_beta.>", "events.>", "events.acme.>", "heartbeats.*", "acknowledged.*", "ask.acme.>"],
)
async def test_what_it_does_not_hear(server: Guarded, pattern: str) -> None:
    async with role(server, ACME) as me:
        await me.nc.subscribe(pattern)
        await me.nc.flush()
        await asyncio.sleep(0.02)
        assert me.refused, pattern


async def test_it_reads_its_own_events_and_no_others(server: Guarded) -> None:
    async with role(server, "client") as writer, role(server, ACME) as acme, role(server, BETA) as beta:
        log = await JetStreamLog.open(writer.nc)
        mine = event("note.posted", "mine")
        theirs = msgspec.structs.replace(event("note.posted", "theirs"), tenant="beta")
        await log.append([mine])
        await log.append([theirs])
        for me, own, foreign in ((acme, "mine", "beta"), (beta, "theirs", "acme")):
            tenant = "acme" if foreign == "beta" else "beta"
            assert await read(await JetStreamLog.open(me.nc), f"events.{tenant}.{own}.>") == [own]
            assert me.refused == []
            for subject in (f"events.{foreign}.>", "events.>"):
                with pytest.raises((StigmergyError, TimeoutError)):
                    async with asyncio.timeout(2):
                        await read(await JetStreamLog.open(me.nc), subject)
        assert acme.refused


async def test_the_subject_of_a_request_cannot_say_other_than_the_request(server: Guarded) -> None:
    """What may be read is what the subject says; the server compares it with the filter."""
    async with role(server, ACME) as me:
        for filters in (
            {"filter_subject": "events.beta.>"},
            {"filter_subjects": ["events.acme.>", "events.beta.>"]},
            {},
        ):
            config = {"name": "sly", "ack_policy": "none", "deliver_policy": "all", "mem_storage": True, **filters}
            with pytest.raises(StigmergyError):
                await call(
                    me.nc,
                    f"CONSUMER.CREATE.{EVENTS}.sly.events.acme.>",
                    {"stream_name": EVENTS, "config": config, "action": ""},
                )


async def test_an_answer_for_another_tenant_is_not_overheard(server: Guarded) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        yield question + b" of " + tenant.encode()

    async with role(server, "projections") as model, role(server, BETA) as beta, role(server, ACME) as acme:
        await NatsServices(model.nc).serve("world.query", answer)
        await model.nc.flush()
        heard: list[bytes] = []

        async def hear(msg: object) -> None:
            heard.append(b"something")

        for pattern in ("_INBOX.>", "_INBOX.client_beta.>", "_INBOX.*.*"):
            await acme.nc.subscribe(pattern, cb=hear)
        await acme.nc.flush()
        assert [part async for part in NatsServices(beta.nc).ask("beta", "world.query", b"files")] == [b"files of beta"]
        assert not heard
        assert len(acme.refused) == 3


async def test_commands_of_a_tenant_are_answered(server: Guarded) -> None:
    async def carry_out(command: Command) -> CommandReply:
        return CommandReply(accepted=True, mission=command.tenant)

    async with role(server, "orchestrator") as serving, role(server, ACME) as me:
        task = asyncio.create_task((await JetStreamCommands.open(serving.nc)).serve(carry_out))
        try:
            commands = await JetStreamCommands.open(me.nc)
            reply = await commands.send(CancelMission(id=uuid7(), tenant="acme", mission="m", reason="?"))
            assert reply.mission == "acme"
            with pytest.raises((StigmergyError, TimeoutError)):
                async with asyncio.timeout(2):
                    await commands.send(CancelMission(id=uuid7(), tenant="beta", mission="m", reason="?"))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_blobs_only_where_it_was_said(server: Guarded, blobs: bool) -> None:
    async with role(server, ACME) as me:
        for subject in ("$O.BLOBS.C.x", "$JS.API.STREAM.MSG.GET.OBJ_BLOBS", "$JS.API.CONSUMER.CREATE.OBJ_BLOBS"):
            assert await may_publish(me, subject) is blobs, subject
        if blobs:
            data = os.urandom(200_000)
            store = (await JetStreamLog.open(me.nc)).blobs
            digest = await store.put(data)
            assert await (await JetStreamLog.open(me.nc)).blobs.get(digest) == data
            with pytest.raises(BlobMissing):
                await store.get("sha256:" + "0" * 64)


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tenant", "acme", "--tenant", "beta-2"]) == 0
    printed = capsys.readouterr().out
    assert printed == render(("acme", "beta-2"))
    assert "user: client_beta-2, password: $NATS_CLIENT_BETA_2_PASSWORD" in printed
    assert "nats_permissions --tenant acme --tenant beta-2 > infra" in printed
    assert main(["--tenant", "two words"]) == 2
    assert "tenant 'two words' is not a valid identifier" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="would share NATS_CLIENT_A_B_PASSWORD"):
        render(("a-b", "a_b"))
    assert tenant_grant("acme").user == ACME
