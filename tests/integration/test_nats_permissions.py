"""What each role may say and hear on NATS, tried on a real server with the configuration that operators get."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

import msgspec
import pytest

from events.blobs.bucket import BlobBucket
from events.blobs.jetstream import STREAM
from events.jetstream import JetStreamLog, connect
from events.jetstream.api import call
from events.jetstream.commands import JetStreamCommands
from events.jetstream.keeping import EventsStream
from events.jetstream.kept import kept_messages
from events.jetstream.streams import check_version
from events.port import Ack, Guard, Subscription, Window, Write
from events.services import NatsServices
from events.signals import NatsSignals
from schemas.commands import CancelMission, Command, CommandReply
from schemas.envelope import Event, rfc3339
from schemas.errors import LogUnavailable, Refused
from schemas.ids import uuid7
from schemas.ownership import OWNERS, Role
from schemas.signals import REFLEX
from schemas.subjects import COMMANDS, EVENTS, of_event
from stigmergy.deploy import nats_permissions
from stigmergy.deploy.nats_permissions import BLOBS, grants, render
from stigmergy.deploy.prepare import prepare
from stigmergy.hearing import hear_workers
from tests.integration.guarded import CONFIG, PASSWORD, ROOT, Guarded, may_publish, program, role, serving, variables

pytestmark = pytest.mark.timeout(60)
USERS = [grant.user for grant in grants()]
USER_OF = {
    Role.ORCHESTRATOR: "orchestrator",
    Role.TASK_QUEUE_MANAGER: "task_queue",
    Role.WORKER: "worker",
    Role.SCALER: "scaler",
    Role.CLIENT: "client",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with serving(tmp_path_factory.mktemp("guarded")) as made:
        yield made


def event(type_: str, mission: str = "m1", data: bytes = b"{}") -> Event:
    return Event(
        id=uuid7(),
        source="/test",
        type=type_,
        time=rfc3339(datetime.now(UTC)),
        tenant="acme",
        mission=mission,
        data=msgspec.Raw(data),
    )


def test_the_committed_file_is_the_rendered_one() -> None:
    assert (CONFIG / "authorization.conf").read_text(encoding="utf-8") == render(), (
        "run: python -m stigmergy.deploy.nats_permissions > infra/nats/authorization.conf"
    )


def test_the_module_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", nats_permissions.__name__], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == render()


def test_every_writer_has_a_user() -> None:
    assert set(USER_OF) == set(Role)
    assert set(USER_OF.values()) == set(USERS) - {"projections", "archive"}  # they read and answer, and write no event


@pytest.mark.parametrize("missing", [grant.password_variable for grant in grants()])
def test_the_server_does_not_start_without_a_password(missing: str) -> None:
    env = {name: value for name, value in variables(PASSWORD).items() if name != missing}
    done = subprocess.run([program(), "--config", CONFIG / "nats.conf", "-t"], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert missing in done.stderr


@pytest.mark.parametrize("user", USERS)
async def test_each_noun_has_one_kind_of_writer(server: Guarded, user: str) -> None:
    async with role(server, user) as me:
        for noun, owner in OWNERS.items():
            for subject in (f"events.acme.m1.{noun}.done", f"events.acme.m1.{noun}._", f"events.acme._.{noun}.done.k"):
                assert await may_publish(me, subject) is (USER_OF[owner] == user), subject


@pytest.mark.parametrize("user", ["worker", "client"])
@pytest.mark.parametrize(
    "subject",
    [
        *(f"$JS.API.STREAM.{verb}.{EVENTS}" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")),
        *(f"$JS.API.STREAM.{verb}.{BLOBS}" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")),
        "$JS.API.STREAM.CREATE.SPY",
        "$JS.API.STREAM.RESTORE.EVENTS",
        f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS}.orchestrator",
        f"$JS.API.CONSUMER.CREATE.{COMMANDS}.mine",
        f"$JS.API.CONSUMER.DELETE.{COMMANDS}.orchestrator",
        f"$JS.ACK.{COMMANDS}.orchestrator.1.1.1.1.0",
        # A direct get answers with bare bytes on any subject one likes: whoever may, can write everything.
        f"$JS.API.DIRECT.GET.{EVENTS}",
        f"$JS.API.DIRECT.GET.{BLOBS}",
        f"$JS.API.DIRECT.GET.{BLOBS}.$O.BLOBS.M.x",
        "dead.commands.1",
        "_INBOX.someone",
        "$SYS.REQ.SERVER.PING",
        "anything",
    ],
)
async def test_the_rest_is_refused(server: Guarded, user: str, subject: str) -> None:
    async with role(server, user) as me:
        assert not await may_publish(me, subject)


@pytest.mark.parametrize("user", ["orchestrator", "task_queue", "projections"])
@pytest.mark.parametrize(
    "subject",
    [f"$JS.API.STREAM.{verb}.{EVENTS}" for verb in ("DELETE", "PURGE", "MSG.DELETE")]
    + [f"$JS.API.DIRECT.GET.{EVENTS}"],
)
async def test_not_even_those_who_make_the_streams_destroy_them(server: Guarded, user: str, subject: str) -> None:
    async with role(server, user) as me:
        assert not await may_publish(me, subject)


@pytest.mark.parametrize(
    ("subject", "speakers"),
    [
        ("commands.acme.CancelMission", {"client"}),
        ("heartbeats.w1", {"worker"}),
        ("peers.acme.opinion._", {"worker"}),
        ("answers.acme.w1.r", {"worker"}),
        ("reflex.acme.m1", {"task_queue", "client"}),
        ("dead.reader.7", set(USERS)),
    ],
)
async def test_who_says_what_else(server: Guarded, subject: str, speakers: set[str]) -> None:
    async with AsyncExitStack() as stack:
        found = {u for u in USERS if await may_publish(await stack.enter_async_context(role(server, u)), subject)}
    assert found == speakers


@pytest.mark.parametrize(
    ("pattern", "hearers"),
    [
        ("heartbeats.*", {"task_queue", "scaler", "client"}),
        ("peers.*.opinion._", {"worker"}),
        ("answers.*.w1.*", {"worker"}),
        ("pools.*", {"worker"}),
        (REFLEX, {"worker", "task_queue"}),
        ("acknowledged.*", {"client"}),
        ("commands.>", set()),
        ("events.>", set()),
        (">", set()),
    ],
)
async def test_who_hears_what(server: Guarded, pattern: str, hearers: set[str]) -> None:
    found = set()
    for user in USERS:
        async with role(server, user) as me:
            await me.nc.subscribe(pattern)
            await me.nc.flush()
            await asyncio.sleep(0.01)
            if not me.refused:
                found.add(user)
    assert found == hearers


async def test_who_may_not_hear_workers_is_told_so(server: Guarded) -> None:
    """Otherwise it would look as if nobody were there."""
    async with role(server, "client") as client, role(server, "worker") as worker:
        heard: list[bytes] = []
        await hear_workers(client.nc, heard.append)
        await worker.nc.publish("heartbeats.w1", b"beat")
        await worker.nc.flush()
        async with asyncio.timeout(5):
            while not heard:
                await asyncio.sleep(0.01)
        with pytest.raises(Refused, match="may not hear workers"):
            await hear_workers(worker.nc, heard.append)


@pytest.mark.parametrize("credentials", [f"worker:not{PASSWORD}", "nobody:12e5", ""])
async def test_without_the_password_nobody_comes_in(server: Guarded, credentials: str) -> None:
    with pytest.raises(LogUnavailable):
        await connect(f"nats://{credentials}@127.0.0.1:{server.port}".replace("//@", "//"), name="stranger")


async def test_read_models_answer_questions_and_write_no_events(server: Guarded) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        yield question + b" of " + tenant.encode()

    async with role(server, "projections") as model, role(server, "client") as asker:
        await NatsServices(model.nc).serve("world.test", answer)
        await model.nc.flush()
        parts = NatsServices(asker.nc).ask("acme", "world.test", b"files")
        assert [part async for part in parts] == [b"files of acme"]
        assert not await may_publish(model, "events.acme.m1.task.ready")
        assert asker.refused == []


async def test_only_the_archive_drops_the_beginning_of_the_stream(server: Guarded) -> None:
    async with role(server, "archive") as me, role(server, "client") as client, role(server, "projections") as model:

        async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
            yield b"here"

        await NatsServices(model.nc).serve("world.status", answer)
        await model.nc.flush()
        log = await JetStreamLog.open(client.nc)
        last = await log.append([event("note.posted", "dropped")])
        stream = EventsStream(me.nc)
        assert await stream.needed_by_consumers() is not None
        assert await stream.drop_before(last) >= 0
        assert (await log.oldest())[0] == last
        assert [part async for part in NatsServices(me.nc).ask("acme", "world.status", b"")] == [b"here"]
        assert me.refused == []
        others = [f"$JS.API.STREAM.PURGE.{COMMANDS}", f"$JS.API.STREAM.DELETE.{EVENTS}", "ask.acme.world.rebuild"]
        for subject in (*others, f"$JS.API.STREAM.MSG.DELETE.{EVENTS}", "events.acme.m1.note.posted"):
            assert not await may_publish(me, subject), subject


async def test_only_the_archive_collects_blobs(server: Guarded) -> None:
    async with role(server, "archive") as me, role(server, "worker") as worker:
        log = await JetStreamLog.open(worker.nc)
        kept = [await log.blobs.put(b"%d" % number) for number in range(2)]
        found = {blob.digest: blob async for blob in BlobBucket(me.nc).blobs()}
        assert await BlobBucket(me.nc).made()
        assert await BlobBucket(me.nc).remove(found[kept[0]])
        assert [await log.blobs.renew(digest) for digest in kept] == [False, True]
        posted = event("note.posted", "kept")
        async with role(server, "client") as client:
            await (await JetStreamLog.open(client.nc)).append([posted])
        assert any([posted.id.encode() in raw async for raw in kept_messages(me.nc)])
        assert me.refused + worker.refused == []
        assert not await may_publish(worker, f"$JS.API.STREAM.PURGE.{STREAM}")


@pytest.mark.parametrize("user", sorted(set(USER_OF.values())))
async def test_the_log_works_for_every_role(server: Guarded, user: str) -> None:
    """Append, guarded append, read, follow and subscribe, with an event whose payload goes through the blob store."""
    noun = next(noun for noun, owner in OWNERS.items() if USER_OF[owner] == user)
    mission = f"log-{user}"
    large = b'{"x":"' + os.urandom(50_000).hex().encode() + b'"}'
    window = Window((f"events.acme.{mission}.>",))
    async with role(server, user) as me:
        log = await JetStreamLog.open(me.nc)
        written = [event(f"{noun}.done", mission), event(f"{noun}.done", mission, large)]
        last = await log.append(written[:1])
        end = await log.append(written[1:], guard=Guard(f"events.acme.{mission}.{noun}.*", last))
        assert await log.newest(f"events.acme.{mission}.{noun}.*") == end
        assert await log.newest(f"events.acme.{mission}.nothing.*") == 0
        assert [bytes(e.data) for e in [e async for e in log.read(window)]] == [b"{}", large]
        async with asyncio.timeout(5), aclosing(log.follow(window)) as batches:  # type: ignore[type-var]
            assert (await anext(batches)).events[0].id == written[0].id
        async with (
            asyncio.timeout(5),
            aclosing(log.subscribe(Subscription(f"sub-{user}", window.filters))) as deliveries,  # type: ignore[type-var]
        ):
            delivery = await anext(deliveries)
            await delivery.ack()
        assert me.refused == []


async def test_blobs_pass_between_roles(server: Guarded) -> None:
    async with role(server, "worker") as giver, role(server, "client") as taker:
        data = os.urandom(300_000)
        digest = await (await JetStreamLog.open(giver.nc)).blobs.put(data)
        assert await (await JetStreamLog.open(taker.nc)).blobs.get(digest) == data
        assert giver.refused + taker.refused == []


async def test_a_worker_claims_an_attempt_and_nobody_claims_it_again(server: Guarded) -> None:
    async with role(server, "worker") as first, role(server, "worker") as second:
        results = []
        for me in (first, second):
            claim = event("attempt.started", "claims")
            log = await JetStreamLog.open(me.nc)
            results += await log.write([Write((claim,), Guard(of_event(claim, "x:1"), 0), "x:1")])
        assert [isinstance(result, Ack) for result in results] == [True, False]


async def test_a_worker_cannot_have_its_bytes_answered_as_a_decision(server: Guarded) -> None:
    """The road around publish permissions: ask the server to answer on the subject one may not write."""
    async with role(server, "worker") as me, role(server, "orchestrator") as reader:
        log = await JetStreamLog.open(me.nc)
        forged = msgspec.json.encode(event("task.succeeded", "forged"))
        there = "events.acme.forged.task.succeeded"
        inbox = me.nc.new_inbox()
        answers = await me.nc.subscribe(inbox)
        await me.nc.publish("events.acme.forged.attempt.started.f:1", forged, reply=inbox)
        sequence = msgspec.json.decode((await answers.next_msg(timeout=2)).data)["seq"]
        asked = msgspec.json.encode({"seq": sequence})
        for subject in (f"$JS.API.DIRECT.GET.{EVENTS}", f"$JS.API.STREAM.MSG.GET.{EVENTS}"):
            await me.nc.publish(subject, asked, reply=there)
        config = {"name": "thief", "ack_policy": "none", "filter_subject": "events.acme.forged.attempt.>"}
        await call(me.nc, f"CONSUMER.CREATE.{EVENTS}.thief", {"stream_name": EVENTS, "config": config})
        await me.nc.publish(f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.thief", b'{"batch":1}', reply=there)
        await me.nc.flush()
        await asyncio.sleep(0.3)
        state = (await call(reader.nc, f"STREAM.INFO.{EVENTS}", {"subjects_filter": there}))["state"]
        assert there not in (state.get("subjects") or {})
        assert [e async for e in log.read(Window((there,)))] == []


async def test_commands_are_answered(server: Guarded) -> None:
    async def handle(command: Command) -> CommandReply:
        return CommandReply(accepted=True, mission=command.mission)

    async with role(server, "client") as client, role(server, "orchestrator") as orchestrator:
        serving = asyncio.create_task((await JetStreamCommands.open(orchestrator.nc)).serve(handle))
        commands = await JetStreamCommands.open(client.nc)
        reply = await commands.send(CancelMission(id=uuid7(), tenant="acme", mission="m9", by="test"), timeout_s=5)
        assert reply == CommandReply(accepted=True, mission="m9")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert client.refused + orchestrator.refused == []


async def test_signals_arrive(server: Guarded) -> None:
    async with role(server, "worker") as worker, role(server, "task_queue") as manager:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await NatsSignals(manager.nc).listen("heartbeats.*", heard.put_nowait)
        await NatsSignals(worker.nc).listen(REFLEX, heard.put_nowait)
        await asyncio.gather(manager.nc.flush(), worker.nc.flush())
        await NatsSignals(worker.nc).send("heartbeats.w1", b"beat")
        await NatsSignals(manager.nc).send("reflex.acme.m1", b"stop")
        async with asyncio.timeout(5):
            assert {await heard.get(), await heard.get()} == {b"beat", b"stop"}


async def test_preparing_again_changes_nothing(server: Guarded) -> None:
    await prepare(server.url("task_queue"))
    async with role(server, "client") as me:
        for stream in nats_permissions.STREAMS:
            assert (await call(me.nc, f"STREAM.INFO.{stream}"))["config"]["name"] == stream


@pytest.mark.parametrize(("version", "fits"), [((2, 10), False), ((2, 11), True), ((2, 15), True), ((3, 0), True)])
def test_a_server_that_ignores_guards_is_refused(version: tuple[int, int], fits: bool) -> None:
    if fits:
        check_version(*version)
    else:
        with pytest.raises(LogUnavailable, match="too old"):
            check_version(*version)
