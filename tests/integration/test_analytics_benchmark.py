"""The benchmark of the analytics runs, on every side, and says what it measured."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from tests.integration.analytics_bench import needs_chdb

needs_chdb()

from benchmarks.analytics_scale import Filling  # noqa: E402
from benchmarks.scale_rows import Days  # noqa: E402
from projections.analytics.ddl import TABLES, Layout  # noqa: E402
from projections.analytics.engine import ChdbEngine  # noqa: E402
from projections.analytics.store import Store  # noqa: E402

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
    assert [line.split("|")[1].strip()[:10] for line in lines[2:]] == ["ClickHouse", "log → Clic"]
    assert "4,000 rows and 4,000 archived: none lost, none doubled" in done.stdout
    assert "CPU µs an event: cutting" in done.stdout


def test_days_that_were_copied_are_what_the_views_make(tmp_path: Path) -> None:
    engine = ChdbEngine(tmp_path / "store")
    days = Days(3, 2_000, date(2026, 11, 2))
    try:
        copied = Filling(engine, days).run(merge=False)
        store = Store(engine, Layout(), "test")
        current = store.current()
        assert current is not None
        made = store.begin(current, frozen=True).database
        for day in range(days.days):
            engine.command(days.fill(made, day))
        for table in TABLES:
            assert _content(engine, copied, table) == _content(engine, made, table), table
    finally:
        engine.close()


def test_a_fill_that_was_broken_off_goes_on_without_doubling(tmp_path: Path) -> None:
    engine = ChdbEngine(tmp_path / "store")
    days = Days(3, 2_000, date(2026, 11, 2))
    try:
        copied = Filling(engine, days).run(merge=False)
        whole = {table: _content(engine, copied, table) for table in TABLES}
        # As if it had died in the middle of the first day: some of its rows are there, and no note of it.
        gone = "ALTER TABLE {}.{} DELETE WHERE {} SETTINGS mutations_sync = 2"
        engine.command(gone.format(copied, "filled", "day = 0"))
        engine.command(gone.format(copied, "missions", "mission LIKE '01970000-%'"))
        Filling(engine, days).run(merge=False)
        assert {table: _content(engine, copied, table) for table in TABLES} == whole
    finally:
        engine.close()


def _content(engine: ChdbEngine, database: str, table: str) -> list[tuple[object, ...]]:
    where = f"database = '{database}' AND table = '{table}'"
    found = engine.query(f"SELECT name, type FROM system.columns WHERE {where}")
    shown = [f"finalizeAggregation({name})" if kind.startswith("Aggregate") else name for name, kind in found]
    final = "" if table == "events" else " FINAL"
    return [
        tuple(row) for row in engine.query(f"SELECT {', '.join(shown)} FROM {database}.{table}{final} ORDER BY ALL")
    ]
