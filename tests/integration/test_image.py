"""The image, built and run: needs a Docker engine, and is skipped where none answers (CI machines have none).

``STIGMERGY_TEST_BUILD_OPTIONS`` adds options to ``docker build``, for instance ``--network host --secret id=ca,src=…``.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from ruamel.yaml import YAML

from stigmergy.client import Client
from stigmergy.deploy.prepare import prepare
from stigmergy.settings import Settings

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
IMAGE = "stigmergy:test"
WORKER = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["worker"]
TIGHT = ("--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--init", "--user", "1000:1000")
SANDBOX_CHECK = """
from workers.sandboxes.choose import choose
print(choose().name)
"""
NO_SANDBOX_CHECK = """
from schemas.errors import ToolMissing
from workers.sandboxes.choose import choose
try:
    print(choose().name)
except ToolMissing as error:
    print(error.code)
"""


def docker(*arguments: str, timeout_s: float = 60, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, cwd=ROOT)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(options: Sequence[str], *command: str, entrypoint: str = "sh", check: bool = True) -> str:
    return docker("run", "--rm", *TIGHT, *options, "--entrypoint", entrypoint, IMAGE, *command, check=check).strip()


def security_options() -> list[str]:
    """Those of the worker in the compose file; the path of the filter is relative to the root there, too."""
    return [part for option in WORKER["security_opt"] for part in ("--security-opt", option)]


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    try:
        engine = subprocess.run(["docker", "info", "--format", "{{.ServerVersion}}"], capture_output=True, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no Docker engine: {error}")
    if engine.returncode != 0:
        pytest.skip("no Docker engine answers")
    if subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode != 0:
        pytest.skip("Docker's buildx plugin is missing, and the recipe uses build secrets")
    options = shlex.split(os.environ.get("STIGMERGY_TEST_BUILD_OPTIONS", ""))
    done = subprocess.run(
        ["docker", "build", *options, "--file", "infra/images/Dockerfile", "--tag", IMAGE, "."],
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_it_is_the_command_line() -> None:
    assert docker("run", "--rm", *TIGHT, "--network", "none", IMAGE, "--version").startswith("stigmergy ")


def test_it_runs_as_nobody_special_and_carries_no_compiler() -> None:
    look = "id -u; for tool in git bwrap prlimit gcc cc make; do command -v $tool; done; true"
    assert run(["--network", "none"], "-c", look).splitlines() == [
        "1000",
        "/usr/bin/git",
        "/usr/bin/bwrap",
        "/usr/bin/prlimit",
    ]


def test_it_holds_no_secret_and_no_state() -> None:
    look = "ls -A /var/lib/stigmergy; find /opt /etc /srv /var /tmp -name '.env*' 2>/dev/null; true"
    assert run(["--network", "none"], "-c", look) == ""


def test_the_strong_sandbox_works_with_the_options_of_the_compose_file() -> None:
    said = run([*security_options(), "--network", "none"], "-c", SANDBOX_CHECK, entrypoint="python")
    assert said == "bubblewrap"


def test_without_them_nothing_weaker_is_taken_in_its_place() -> None:
    plain = ["--security-opt", "no-new-privileges", "--network", "none"]
    assert run(plain, "-c", NO_SANDBOX_CHECK, entrypoint="python") == "tool_missing"


@contextmanager
def role(env: Sequence[str], options: Sequence[str], *command: str) -> Iterator[str]:
    name = f"stigmergy-test-{uuid4().hex[:8]}"
    docker(
        "run", "--detach", "--name", name, *TIGHT, *options, *env, "--network", "host",
        "--env", "STIGMERGY_READY_FILE=/tmp/ready", "--tmpfs", "/var/lib/stigmergy:uid=1000,gid=1000,mode=0700",
        IMAGE, *command,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(["docker", "exec", name, "test", "-f", "/tmp/ready"], capture_output=True).returncode:
            assert time.monotonic() < deadline, docker("logs", name, check=False)
            time.sleep(0.2)
        yield name
    finally:
        docker("stop", "--time", "20", name, check=False)
        docker("rm", "--force", name)


def test_roles_in_containers_carry_out_a_mission(nats_url: str, valkey_url: str, tmp_path: Path) -> None:
    settings = Settings(nats_url=nats_url, redis_url=valkey_url, state_dir=tmp_path)
    env = ["--env", f"STIGMERGY_NATS_URL={nats_url}", "--env", f"STIGMERGY_REDIS_URL={valkey_url}"]
    plain = ["--security-opt", "no-new-privileges"]

    async def mission() -> tuple[str, object]:
        async with Client(settings) as client:
            handle = await client.submit("Say hello", workflow="hello")
            ended = await handle.outcome(timeout_s=30)
            return ended.status, ended.result

    asyncio.run(prepare(nats_url))
    with ExitStack() as stack:
        stack.enter_context(role(env, plain, "serve", "orchestrator"))
        stack.enter_context(role(env, plain, "serve", "task-queue"))
        worker = stack.enter_context(role(env, security_options(), "workers", "start", "--concurrency", "1"))
        assert asyncio.run(mission()) == (
            "completed",
            {"greetings": ["Hello, Ada!", "Hello, Grace!", "Hello, Barbara!"]},
        )
        docker("stop", "--time", "20", worker)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", worker).strip() == "0"
