"""The date of rows that have the same one is found without writing out all their times."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

if os.environ.get("CI") != "true":
    pytest.importorskip("pyarrow")

import pyarrow as pa

from projections.archive.columns import day_of, days_of
from projections.frames import TIME

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def table(*times: datetime | None) -> object:
    return pa.table({"time": pa.array(times, TIME)})


@pytest.mark.parametrize("micros", [0, 1, 86_399_999_999, 4_102_444_799_999_999, 253_402_300_799_999_999])
def test_one_day(micros: int) -> None:
    rows = pa.table({"time": pa.array([micros, micros], pa.int64()).cast(TIME)})
    assert [day_of(rows)] * 2 == days_of(rows).to_pylist()


@pytest.mark.parametrize(
    "times",
    [
        (MIDNIGHT, datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)),
        (MIDNIGHT, None),
        (datetime(1969, 12, 31, tzinfo=UTC),),
        (),
    ],
)
def test_several_days_and_days_that_nobody_knows(times: tuple[datetime | None, ...]) -> None:
    assert day_of(table(*times)) is None
