"""The benchmark of the world model works; its figures are looked at elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).resolve().parents[2]


def test_it_measures_and_reports(valkey_url: str, nats_url: str) -> None:
    """Asking for the servers skips it where their programs are missing."""
    sizes = ("--rounds", "1", "--reads", "30", "--tasks", "120", "--events", "6000")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.world", *sizes, "--markdown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for row in ("| raw GET |", "| task, by id |", "| task, cached |", "| mission |", "| fold, in memory |"):
        assert row in done.stdout, done.stdout
    assert "rebuild of 6,006 events from JetStream" in done.stdout
