"""The checks of ``stig doctor``: each looks at one thing and never raises."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.errors import Refused, StigmergyError, ToolMissing
from stigmergy.cli.screen import size
from stigmergy.local import LocalStack
from stigmergy.local.binaries import nats_binary, valkey_binary
from stigmergy.settings import Settings

_LEAST_PYTHON = (3, 12)
_LEAST_GIT = (2, 38)
_LITTLE_DISK = 2 * 2**30
_NO_DISK = 256 * 2**20


class Check(BaseModel):
    """One line. ``mend`` is what to do about a warning or a failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""


def check_all() -> list[Check]:
    """All checks, those of this machine first."""
    try:
        settings = Settings()
    except StigmergyError as error:
        return [Check(name="settings", state="fail", detail=error.message, mend=error.hint)]
    return [
        _python(),
        _git(),
        _sandbox(),
        _installer(),
        _disk(settings.state_dir, stores=settings.nats_url is None or settings.redis_url is None),
        _program("nats", nats_binary, given=settings.nats_url is not None),
        _program("valkey", valkey_binary, given=settings.redis_url is not None),
        *_stack(settings),
    ]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] >= _LEAST_PYTHON
    mend = "" if good else "install Python 3.12 or newer"
    return Check(name="python", state="ok" if good else "fail", detail=f"{found} at {sys.executable}", mend=mend)


def _git() -> Check:
    said = _said("git", "--version")
    if said is None:
        return Check(name="git", state="fail", detail="not found", mend="install git 2.38 or newer")
    numbers = tuple(int(part) for part in said.split()[-1].split(".")[:2] if part.isdigit())
    good = numbers >= _LEAST_GIT
    return Check(name="git", state="ok" if good else "fail", detail=said, mend="" if good else "git 2.38 is needed")


def _sandbox() -> Check:
    from workers.sandboxes import choose

    try:
        chosen = choose()
    except StigmergyError as error:
        mend = error.hint or "install bubblewrap (bwrap)"
        return Check(name="sandbox", state="warn", detail=error.message, mend=mend)
    return Check(name="sandbox", state="ok", detail=chosen.name)


def _installer() -> Check:
    from workers.sources.configured import pip_command

    if uv := shutil.which("uv") or _beside("uv"):
        return Check(name="installer", state="ok", detail=f"uv at {uv}")
    if pip_command() is not None:
        return Check(name="installer", state="ok", detail="pip (uv would be faster)")
    return Check(
        name="installer", state="warn", detail="neither uv nor pip", mend="install uv: tests need their packages"
    )


def _disk(folder: Path, *, stores: bool) -> Check:
    """Little space fails where servers of this machine keep their data there (``stores``), and is else a warning."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(place).free
    state: Literal["ok", "warn", "fail"] = "ok" if free >= _LITTLE_DISK else "warn"
    if stores and free < _NO_DISK:
        state = "fail"
    mend = "" if state == "ok" else "free some space, or set STIGMERGY_STATE_DIR to a larger disk"
    return Check(name="disk", state=state, detail=f"{size(free)} free for {folder}", mend=mend)


def _program(name: str, find: Callable[[], Path], *, given: bool) -> Check:
    if given:
        return Check(name=name, state="ok", detail="a server of your own is configured")
    try:
        return Check(name=name, state="ok", detail=str(find()))
    except ToolMissing as error:
        return Check(name=name, state="fail", detail=error.message, mend=error.hint)


def _stack(settings: Settings) -> list[Check]:
    """What runs. A stack that nobody started is no failure; one that should run and does not answer is."""
    rows = LocalStack(settings).status()
    up = any(row.kind == "supervisor" and row.ready for row in rows)
    ended = [row.name for row in rows if row.state == "dead"]
    if ended:
        lines = [
            Check(name="stack", state="fail", detail=f"has died: {', '.join(ended)}", mend="stig down; then stig dev")
        ]
    elif up:
        lines = [Check(name="stack", state="ok", detail=f"{len(rows) - 1} parts run in {settings.state_dir}")]
    elif settings.nats_url is not None:
        lines = [Check(name="stack", state="ok", detail="servers of your own")]
    else:
        return [Check(name="stack", state="warn", detail="nothing runs here", mend="stig dev --detach")]
    return [*lines, *_servers(settings)]


def _servers(settings: Settings) -> list[Check]:
    try:
        workers = asyncio.run(_fleet(settings))
    except StigmergyError as error:
        return [Check(name="jetstream", state="fail", detail=error.message, mend=error.hint), _redis(settings)]
    return [Check(name="jetstream", state="ok", detail="the log answers"), _redis(settings), workers]


async def _fleet(settings: Settings) -> Check:
    """Who is there. Raises LogUnavailable if the log does not answer."""
    from stigmergy.client import Client

    async with Client(settings, name="doctor") as client:
        await client.bus.log.last_sequence()
        try:
            alive = len(await client.workers())
        except Refused as error:
            return Check(name="workers", state="warn", detail=error.message, mend=error.hint)
    if not alive:
        return Check(name="workers", state="warn", detail="none are there", mend="stig workers start")
    return Check(name="workers", state="ok", detail=f"{alive} alive")


def _redis(settings: Settings) -> Check:
    import redis

    from stigmergy.wiring import redis_url

    try:
        with redis.Redis.from_url(redis_url(settings), socket_timeout=3, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        return Check(name="redis", state="fail", detail=str(error), mend="is STIGMERGY_REDIS_URL right?")
    except StigmergyError as error:
        return Check(name="redis", state="fail", detail=error.message, mend=error.hint)
    return Check(name="redis", state="ok", detail="answers")


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _beside(name: str) -> str | None:
    path = Path(sys.executable).with_name(name)
    return str(path) if path.exists() else None
