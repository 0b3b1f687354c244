"""The examples are run as they stand: by themselves, on a running stack."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

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
    words = ["workers", "start", "--import", "examples/my_agents.py", "--skills", "count-words", "--pool", "solo"]
    environment = {**os.environ, **shared.settings.environment()}
    command = leashed((sys.executable, "-m", "stigmergy.cli", *words))
    with (shared.folder / "own.log").open("wb") as log:
        workers = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(30):
            while not any(beat.skills == ("count-words",) for beat in await client.workers(listen_s=0.6)):
                assert workers.poll() is None, (shared.folder / "own.log").read_text(encoding="utf-8")
    finally:
        workers.terminate()
        assert workers.wait(20) == 0
