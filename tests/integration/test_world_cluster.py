"""The world model on a cluster of three: keys of a call lie in one slot, tenants in slots of their own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotYet

from events.memory import MemoryLog
from projections.world.check import check
from projections.world.connecting import CLUSTER, connect
from projections.world.keys import Keys
from projections.world.locks import Locks
from projections.world.queries import WorldView
from projections.world.reader import WorldReader
from projections.world.role import WorldRole
from schemas.errors import ToolMissing
from stigmergy.local.binaries import valkey_binary
from stigmergy.local.leash import leashed
from tests.core.world_events import mixed
from tests.integration.world_roles import KEEP_S, level, log_of

pytestmark = pytest.mark.timeout(120)
_NODES = 3
_SLOTS = 16_384


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a node of a cluster of three, without replicas."""
    try:
        binary = valkey_binary()
    except ToolMissing as error:
        pytest.skip(str(error))
    with ExitStack() as closing:
        ports = [_start(closing, binary, tmp_path_factory.mktemp(f"node{number}")) for number in range(_NODES)]
        _join(ports)
        yield f"{CLUSTER}127.0.0.1:{ports[0]}"


def _start(closing: ExitStack, binary: Path, folder: Path) -> int:
    port, bus = _free_port(), _free_port()
    cluster = {"cluster-port": bus, "cluster-enabled": "yes"}
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", **cluster}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen(leashed((str(binary), *arguments)), stdout=subprocess.DEVNULL, start_new_session=True)

    def end() -> None:
        process.kill()
        process.wait()

    closing.callback(end)
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _join(ports: list[int]) -> None:
    nodes: list[Any] = [Redis(port=port) for port in ports]
    try:
        for number, node in enumerate(nodes):
            _patiently(node.ping)
            first, last = number * _SLOTS // _NODES, (number + 1) * _SLOTS // _NODES - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node, port in zip(nodes[1:], ports[1:], strict=True):
            bus = node.config_get("cluster-port")["cluster-port"]
            nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        for node in nodes:
            _patiently(lambda node=node: _formed(node))
    finally:
        for node in nodes:
            node.close()


def _formed(node: Any) -> None:
    raw = node.execute_command("CLUSTER", "INFO")
    said = raw if isinstance(raw, dict) else dict(line.split(":") for line in raw.decode().split())
    if said["cluster_state"] != "ok" or int(said["cluster_known_nodes"]) < _NODES:
        raise NotYet(str(said))


def _patiently(attempt: Any) -> None:
    import time

    deadline = time.monotonic() + 60
    while True:
        try:
            attempt()
        except NotYet:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def test_everything_works_on_a_cluster(cluster: str) -> None:
    events = mixed(11, tenants=3, missions=3)
    log: MemoryLog = await log_of(events)
    async with connect(cluster) as redis:
        role = WorldRole(log, redis, keep_s=KEEP_S, lock_s=2.0)
        task = asyncio.create_task(role.run())
        try:
            await level(role, log)
            assert (await check(redis, log, keep_s=KEEP_S)).sound
            slots = {redis.keyslot(Keys(f"t{number}", 1).meta) for number in range(3)}  # type: ignore[union-attr]
            assert len(slots) == 3
            await role.rebuild(None, lambda *_: None)
            report = await check(redis, log, keep_s=KEEP_S)
            assert (report.sound, report.tenants, report.generation) == (True, 3, 2)
            missions = (await WorldView(WorldReader(redis, "t1")).missions()).value
            assert [mission.id for mission in missions] == ["m1"]
            held = await Locks(redis, "t1").acquire("x", 10)
            assert held is not None
            assert await Locks(redis, "t1").release(held)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
