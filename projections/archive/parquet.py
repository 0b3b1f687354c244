"""Parquet files of the archive: how they are written, and how the rows of one mission are found in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from projections.archive.columns import SCHEMA
from projections.archive.rows import Rows

ROW_GROUP = 16_384
_REPEATED = ["tenant", "mission", "type", "noun", "source", "subject", "correlationid", "causationid", "traceparent"]
_COUNTED = ("sequence", "index", "time", "dataversion")
_ORDER = ("mission", "sequence", "index")
_BOUNDED = ["sequence", "index", "tenant", "mission", "type", "noun", "time"]
"""With statistics: what rules out row groups. Bounds of ids, payloads and names of tasks rule out none, and take a
sixth of the time of everything."""


def encoded(table: Any) -> bytes:
    """The bytes of a file: zstd, small row groups, page index, a checksum on every page. Rows are in order already."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=_REPEATED,
        column_encoding={**dict.fromkeys(_COUNTED, "DELTA_BINARY_PACKED"), "id": "DELTA_BYTE_ARRAY"},
        write_statistics=_BOUNDED,
        write_page_index=True,
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(SCHEMA.get_field_index(name)) for name in _ORDER],
    )
    return bytes(sink.getvalue())


def in_file_order(table: Any) -> Any:
    """Sorted by mission, then in log order: the rows of a mission lie together."""
    return table.sort_by([(name, "ascending") for name in _ORDER])


def in_log_order(table: Any) -> Any:
    """Sorted by sequence and index; nothing is copied where that is so already."""
    here, then = (table.slice(0, max(table.num_rows - 1, 0)), table.slice(1))
    later = pc.less(here["sequence"], then["sequence"])
    same = pc.and_(pc.equal(here["sequence"], then["sequence"]), pc.less(here["index"], then["index"]))
    return (
        table
        if pc.all(pc.or_(later, same)).as_py() is not False
        else table.sort_by([("sequence", "ascending"), ("index", "ascending")])
    )


def rows(file: BinaryIO, wanted: Rows, columns: Sequence[str] | None = None) -> Any:
    """The rows of a file that are wanted, in file order; all columns, or the named ones and those looked at.

    Row groups whose statistics rule them out are not read. Raises ``OSError``, ``ValueError`` or
    ``pyarrow.ArrowException`` for a damaged file.
    """
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    if parquet.schema_arrow.names != SCHEMA.names:
        raise ValueError("it has other columns than an archive's file")
    groups = [n for n in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(n), wanted)]
    chosen = None if columns is None else [name for name in SCHEMA.names if name in {*columns, *wanted.columns}]
    if not groups:
        empty = SCHEMA.empty_table()
        return empty if chosen is None else empty.select(chosen)
    table = parquet.read_row_groups(groups, columns=chosen, use_threads=wanted.mission is None)
    return wanted.of(table)


def _may_hold(group: Any, wanted: Rows) -> bool:
    return (
        _within(group, "sequence", wanted.first, wanted.last)
        and (wanted.mission is None or _within(group, "mission", wanted.mission, wanted.mission))
        and not _all_before(group, wanted)
    )


def _within(group: Any, name: str, first: Any, last: Any) -> bool:
    found = group.column(SCHEMA.get_field_index(name)).statistics
    return found is None or not found.has_min_max or bool(found.min <= last and found.max >= first)


def _all_before(group: Any, wanted: Rows) -> bool:
    """Whether every row is too old or too young; rows without a time are never."""
    found = group.column(SCHEMA.get_field_index("time")).statistics
    if found is None or not found.has_min_max or not found.has_null_count or found.null_count:
        return False
    return (wanted.since is not None and found.max < wanted.since) or (
        wanted.until is not None and found.min > wanted.until
    )
