"""The archive benchmark runs, at a size that says nothing about speed."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.archive_bench import needs_pyarrow

needs_pyarrow()


def test_it_archives_what_it_published() -> None:
    command = [sys.executable, "-m", "benchmarks.archive", "--rounds", "1", "--events", "16000", "--markdown"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    header, _, row = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert "events/s" in header
    assert float(row.split("|")[1].split()[0].replace(",", "")) > 0
