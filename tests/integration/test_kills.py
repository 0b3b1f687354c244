"""Short runs of ``benchmarks.kills``: SIGKILL to a read model's process and the message server, at random moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills import ROLES, kill_again_and_again
from tests.integration.archive_bench import needs_pyarrow
from tests.integration.query_bench import needs_chdb

NEEDS = {"analytics": needs_chdb, "archive": needs_pyarrow}


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_nothing_is_lost_or_doubled(role: str, tmp_path: Path) -> None:
    NEEDS[role]()
    outcome = await kill_again_and_again(role, 5, tmp_path, seed=7, pause_s=(0.6, 1.4))
    assert outcome.sound, outcome
    assert outcome.unacknowledged == 0
    assert sum(outcome.killed.values()) == 5
    assert set(outcome.killed) == {role, "nats"}
