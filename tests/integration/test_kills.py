"""A short run of ``benchmarks.kills``: SIGKILL to the archive's process and the message server, at random moments."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kills import ROLES, kill_again_and_again
from tests.integration.archive_bench import needs_pyarrow

needs_pyarrow()


async def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    outcome = await kill_again_and_again("archive", 5, tmp_path, seed=7, pause_s=(0.6, 1.4))
    assert outcome.sound, outcome
    assert outcome.unacknowledged == 0
    assert sum(outcome.killed.values()) == 5
    assert set(outcome.killed) == {"archive", "nats"}
    assert "archive" in ROLES
