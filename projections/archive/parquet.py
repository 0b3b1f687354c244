"""Parquet files of the archive: how they are written, and how the rows of one mission are found in them."""

from __future__ import annotations

from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from projections.archive.columns import SCHEMA

ROW_GROUP = 16_384
_REPEATED = ["tenant", "mission", "type", "noun", "source", "subject", "correlationid", "causationid", "traceparent"]
_COUNTED = ("sequence", "index", "time", "dataversion")
_ORDER = ("mission", "sequence", "index")


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
        column_encoding=dict.fromkeys(_COUNTED, "DELTA_BINARY_PACKED"),
        write_page_index=True,
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(SCHEMA.get_field_index(name)) for name in _ORDER],
    )
    return bytes(sink.getvalue())


def in_file_order(table: Any) -> Any:
    """Sorted by mission, then in log order: the rows of a mission lie together."""
    return table.sort_by([(name, "ascending") for name in _ORDER])


def in_log_order(table: Any) -> Any:
    """Sorted by sequence and index."""
    return table.sort_by([("sequence", "ascending"), ("index", "ascending")])


def rows(file: BinaryIO, mission: str | None, first: int, last: int) -> Any:
    """The rows of a file that belong to a mission and a range of sequences, in file order.

    Row groups whose statistics rule them out are not read. Raises ``OSError``, ``ValueError`` or
    ``pyarrow.ArrowException`` for a damaged file.
    """
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    if parquet.schema_arrow.names != SCHEMA.names:
        raise ValueError("it has other columns than an archive's file")
    groups = [
        n for n in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(n), mission, first, last)
    ]
    if not groups:
        return SCHEMA.empty_table()
    table = parquet.read_row_groups(groups, use_threads=mission is None)
    chosen = pc.and_(pc.greater_equal(table["sequence"], first), pc.less_equal(table["sequence"], last))
    if mission is not None:
        chosen = pc.and_(chosen, pc.equal(table["mission"], mission))
    return table.filter(chosen)


def _may_hold(group: Any, mission: str | None, first: int, last: int) -> bool:
    numbers = group.column(SCHEMA.get_field_index("sequence")).statistics
    if numbers is not None and numbers.has_min_max and (numbers.max < first or numbers.min > last):
        return False
    if mission is None:
        return True
    names = group.column(SCHEMA.get_field_index("mission")).statistics
    return names is None or not names.has_min_max or bool(names.min <= mission <= names.max)
