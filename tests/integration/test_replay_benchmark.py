"""The benchmark of replay runs, and reads what it wrote; how fast it is, is not looked at here."""

from __future__ import annotations

from tests.integration.archive_bench import needs_pyarrow

needs_pyarrow()
from benchmarks.player import opened  # noqa: E402
from benchmarks.replay import RATES, film, measure  # noqa: E402


def test_it_measures_every_way_of_reading() -> None:
    found = measure("hello", 5000, 1)
    assert all(found[name] > 0 for name in RATES)
    assert found["archive_bytes_per_event"] > 0


async def test_it_measures_the_player() -> None:
    first, rest = await opened(list(film("repair", 400)))
    assert first > 0
    assert rest["step_early_ms"] > 0
    assert rest["at_max_per_s"] > 0
