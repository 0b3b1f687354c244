"""What a file of the archive is made of, and that making one after another asks for no fresh memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

if os.environ.get("CI") != "true":
    pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from projections.archive.columns import SCHEMA
from projections.archive.parquet import encoded

_FAULTS = """
import resource, time
import projections  # before Arrow, as whoever writes an archive does
from tests.core.test_archive_files import encoded, table
rows = table(50_000)
encoded(rows), encoded(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    time.sleep(0.15)
    encoded(rows)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def table(many: int) -> object:
    texts = pa.array([f"{number:036d}" for number in range(many)], pa.string())
    return pa.table({each.name: texts if each.type == pa.string() else pa.nulls(many, each.type) for each in SCHEMA})


def test_what_rules_out_rows_has_bounds_and_nothing_else() -> None:
    data = encoded(table(100))
    file = pq.ParquetFile(pa.BufferReader(data))
    assert file.read().equals(table(100))
    group = file.metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    bounded = {each.path_in_schema for each in columns if each.statistics is not None}
    assert bounded == {"sequence", "index", "tenant", "mission", "type", "noun", "time"}
    assert all(each.has_offset_index for each in columns)


@pytest.mark.skipif(sys.platform != "linux", reason="others count page faults otherwise")
def test_memory_is_used_again() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MIMALLOC_PURGE_DELAY"}
    made = subprocess.run(
        [sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert int(made) < 300
