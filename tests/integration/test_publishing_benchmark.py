"""The publishing benchmark runs, at a size that says nothing about speed."""

from __future__ import annotations

import subprocess
import sys


def test_it_measures_every_way_of_publishing() -> None:
    command = [sys.executable, "-m", "benchmarks.publishing", "--rounds", "1", "--scale", "0.02", "--markdown"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 1 + 5  # the header, the rule below it, and a row for each way
    for way in ("js.publish", "gather", "Log.write", "BufferedPublisher", "ready-made frames"):
        assert way in done.stdout
