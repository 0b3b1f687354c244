"""A NATS server with the users and permissions that operators get, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats.aio.client import Client

from events.jetstream import connect
from schemas.errors import ToolMissing
from stigmergy.deploy.nats_permissions import Grant, grants, render, tenant_grant
from stigmergy.deploy.prepare import prepare
from stigmergy.local.binaries import nats_binary

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "infra" / "nats"
# Reads as a number with an exponent: it has to come through the configuration as text.
PASSWORD = "12e5"


@dataclass(frozen=True)
class Guarded:
    """A server with the permissions of infra/nats."""

    port: int

    def url(self, user: str) -> str:
        return f"nats://{user}:{PASSWORD}@127.0.0.1:{self.port}"


@dataclass
class Connected:
    """One user's connection, and what the server refused it."""

    nc: Client
    refused: list[str]


def program() -> Path:
    """The server's program; a missing one fails in CI and skips elsewhere."""
    try:
        return nats_binary()
    except ToolMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error}: {error.hint}")


@contextmanager
def serving(folder: Path, *, tenants: tuple[str, ...] = (), blobs: bool = False) -> Iterator[Guarded]:
    """A server with its streams, on a free port, for the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = _started(program(), folder, port, tenants, blobs=blobs)
    try:
        asyncio.run(prepare(Guarded(port).url("orchestrator")))
        yield Guarded(port)
    finally:
        process.kill()
        process.wait()


def _started(
    binary: Path, folder: Path, port: int, tenants: tuple[str, ...], *, blobs: bool
) -> subprocess.Popen[bytes]:
    """The committed configuration, with ``tenants`` one with users for them; only its addresses and its folder are this
    machine's."""
    text = (CONFIG / "nats.conf").read_text(encoding="utf-8")
    for there, here in (
        ('"0.0.0.0:4222"', f'"127.0.0.1:{port}"'),
        ('http: "127.0.0.1:8222"', ""),
        ('"/data"', json.dumps(str(folder / "data"))),
    ):
        assert there in text
        text = text.replace(there, here)
    (folder / "nats.conf").write_text(text, encoding="utf-8")
    committed = (CONFIG / "authorization.conf").read_text(encoding="utf-8")
    users = render(tenants, blobs=blobs) if tenants else committed
    (folder / "authorization.conf").write_text(users, encoding="utf-8")
    log = folder / "nats.log"
    process = subprocess.Popen(
        [binary, "--config", folder / "nats.conf", "--log", log], env={**os.environ, **variables(PASSWORD, tenants)}
    )
    deadline = time.monotonic() + 15
    while "Server is ready" not in (log.read_text() if log.exists() else ""):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError("the server did not start: " + (log.read_text() if log.exists() else "no log"))
        time.sleep(0.05)
    return process


def variables(password: str, tenants: tuple[str, ...] = ()) -> Mapping[str, str]:
    every = (*grants(), Grant("operator", (), ()), *map(tenant_grant, tenants))
    passwords = {grant.password_variable: f'"{password}"' for grant in every}
    return {"NATS_SERVER_NAME": '"nats"', "NATS_MAX_FILE_STORE": "1GB", **passwords}


@asynccontextmanager
async def role(server: Guarded, user: str) -> AsyncIterator[Connected]:
    nc = await connect(server.url(user), name=user)
    refused: list[str] = []

    async def hear(error: Exception) -> None:
        refused.append(str(error))

    nc._error_cb = hear
    try:
        yield Connected(nc, refused)
    finally:
        await nc.close()


async def may_publish(user: Connected, subject: str) -> bool:
    """Whether the server lets the user publish. The message id makes the stream refuse what does get through."""
    user.refused.clear()
    await user.nc.publish(subject, b"x", headers={"Nats-Expected-Last-Msg-Id": "none"})
    await user.nc.flush()
    await asyncio.sleep(0.01)
    return not user.refused
