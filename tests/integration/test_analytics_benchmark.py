"""The benchmark of the analytics runs, on every side, and says what it measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.analytics_bench import needs_chdb

needs_chdb()

pytestmark = pytest.mark.xdist_group("analytics")
ROOT = Path(__file__).resolve().parents[2]


def test_it_measures_every_side(nats_url: str) -> None:
    assert nats_url  # skips where there is no server to be had
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.analytics", "--events=4000", "--rounds=1", "--archive", "--markdown"],
        cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip()[:10] for line in lines[2:]] == ["ClickHouse", "log → Clic", "log → Parq"]
    assert "CPU µs an event: decode" in done.stdout
