"""A seed always gives the same bytes: in one process, in another one, whatever Python's hashes are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.drawing import make_scenario
from tests.simulation.play import play

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(2000, 2012)
_SCRIPT = """
import logging
logging.disable(logging.CRITICAL)
from tests.simulation.play import play
from tests.simulation.drawing import make_scenario
for seed in range({0}, {1}):
    print(play(make_scenario(seed)).digest)
"""


def _digests() -> list[str]:
    return [play(make_scenario(seed)).digest for seed in SEEDS]


def test_two_runs_write_the_same_bytes() -> None:
    first = _digests()
    assert first == _digests()
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_writes_the_same_bytes(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(SEEDS.start, SEEDS.stop)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    )
    assert done.stdout.split() == _digests()


def test_the_order_in_which_seeds_are_played_does_not_matter() -> None:
    backwards = [play(make_scenario(seed)).digest for seed in reversed(SEEDS)]
    assert backwards[::-1] == _digests()
