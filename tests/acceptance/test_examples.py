"""The examples are run as they stand: by themselves, on a running stack."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
