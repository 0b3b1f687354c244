"""The examples are run as they stand: by themselves, on a running stack."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stigmergy import Client
from stigmergy.local.leash import leashed
from tests.acceptance.stack import ROOT, Stack

pytestmark = pytest.mark.xdist_group("acceptance")


def run(name: str, stack: Stack) -> list[str]:
    """The lines that an example prints."""
    environment = {**os.environ, **stack.settings.environment(), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def start_workers(stack: Stack, log_name: str, *words: str) -> subprocess.Popen[bytes]:
    """A pool in a process of its own, as a user starts it."""
    environment = {**os.environ, **stack.settings.environment()}
    command = leashed((sys.executable, "-m", "stigmergy.cli", "workers", "start", "--pool", "solo", *words))
    with (stack.folder / log_name).open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)


async def join(client: Client, pools: dict[subprocess.Popen[bytes], Path], skills: tuple[str, ...]) -> None:
    """Return when so many pools have joined with these skills; what a pool that ended has logged is the reason."""
    async with asyncio.timeout(30):
        while sum(beat.skills == skills for beat in await client.workers(listen_s=0.6)) < len(pools):
            for pool, log in pools.items():
                assert pool.poll() is None, log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("client_async.py", "completed ['Hello, Ada!', 'Hello, Grace!']"),
        ("client_sync.py", "completed {'words': 5, 'different': 4}"),
    ],
)
def test_a_client_submits_follows_and_awaits(shared: Stack, name: str, last: str) -> None:
    lines = run(name, shared)
    assert lines[0] == "mission.submitted "
    assert lines[-2] == "mission.completed "
    assert lines[-1] == last


def test_an_agent_of_ones_own_is_short() -> None:
    text = (ROOT / "examples" / "my_agents.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) < 15


async def test_workers_with_an_agent_of_ones_own_join_by_the_command_in_the_example(
    client: Client, shared: Stack
) -> None:
    workers = start_workers(shared, "own.log", "--import", "examples/my_agents.py", "--skills", "count-words")
    try:
        await join(client, {workers: shared.folder / "own.log"}, ("count-words",))
    finally:
        workers.terminate()
        assert workers.wait(20) == 0


async def test_agents_ask_one_another_and_hand_a_task_on(client: Client, shared: Stack) -> None:
    words = ("--import", "examples/handing_on.py", "--skills", "draft,polish")
    names = ("hand1.log", "hand2.log")  # two, for agents ask those of other workers
    pools = {start_workers(shared, name, *words): shared.folder / name for name in names}
    try:
        await join(client, pools, ("draft", "polish"))
        environment = {**os.environ, **shared.settings.environment()}
        command = [sys.executable, "-m", "stigmergy.cli", "run", "examples/handing_on.yaml", "--json"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["result"] == {"text": "Stigmergy is important.\n"}
        shown = subprocess.run(
            [sys.executable, "-m", "stigmergy.cli", "explain", "last", "write"],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert "attempt 1 ended by offering the task to polish: the draft is done" in shown.stdout, shown.stdout
        assert "attempt 2 has the notes and the workspace of attempt 1" in shown.stdout
    finally:
        for pool in pools:
            pool.terminate()
        assert [pool.wait(20) for pool in pools] == [0, 0]


def test_workers_that_are_told_to_end_while_they_start_end_well(shared: Stack, tmp_path: Path) -> None:
    agents = tmp_path / "ends_early.py"
    agents.write_text(
        "import os, signal\n"
        "from celery.signals import worker_init\n"
        "from stigmergy import Agent\n"
        "worker_init.connect(lambda **_: os.kill(os.getpid(), signal.SIGTERM), weak=False)\n"
        "class Early(Agent):\n"
        "    skills = ('early',)\n"
        "    def run(self, context): return {}\n"
    )
    workers = start_workers(shared, "early.log", "--import", str(agents), "--skills", "early")
    assert workers.wait(30) == 0, (shared.folder / "early.log").read_text(encoding="utf-8")
