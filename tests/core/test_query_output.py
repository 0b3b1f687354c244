"""Answers as tables, JSON, CSV and charts; and their way over the bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from projections.analytics.queries.clickhouse import _batches, _plain
from projections.analytics.queries.port import Answer, Batch, Column, Ending, Heading, Part, Question, collect, restored
from projections.analytics.queries.registry import template
from schemas.errors import InvalidInput, StigmergyError
from stigmergy.cli.query_output import Output, written

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
AGENTS = (Column("agent", "LowCardinality(String)"), Column("attempts", "UInt64"), Column("p95_s", "Float64"))


def answer(columns: tuple[Column, ...], rows: list[list[Any]], cut: bool = False) -> Answer:
    return Answer(columns, rows, Ending(len(rows), cut, 0.01))


def shown(output: Output, found: Answer) -> list[str]:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(output.drawn(found))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_has_units_in_its_headers_and_no_markup_from_outside() -> None:
    output = Output(template("agents"), Question(template="agents"), "table")
    lines = shown(output, answer(AGENTS, [["[red]x\x1b[0m", 12345, 0.01234], ["b", 1, None]]))
    assert lines[0].split() == ["agent", "attempts", "p95", "s"]
    assert "[red]x" in lines[1]
    assert "\x1b" not in lines[1]
    assert lines[1].endswith("12,345  0.01234")
    assert shown(output, answer(AGENTS, [])) == ["nothing was found: no such events, or not since then"]


def test_times_are_told_to_be_utc() -> None:
    columns = (Column("time", "DateTime('UTC')"), Column("last", "Nullable(DateTime64(6, 'UTC'))"))
    found = answer(columns, [[AT, AT + timedelta(seconds=1.5)]])
    lines = shown(Output(None, Question(sql="x"), "table"), found)
    assert lines[0].split() == ["time", "UTC", "last", "UTC"]
    assert lines[1] == "2026-01-02 03:00  2026-01-02 03:00:01.500"


def test_json_and_csv(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("t", "DateTime"), Column("m", "Decimal(9, 2)"), Column("f", "Float64"), Column("d", "Date"))
    found = answer(columns, [[AT, Decimal("1.50"), float("nan"), date(2026, 1, 2)], [None, None, 2.5, None]], cut=True)
    Output(None, Question(sql="x"), "json").show(found)
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["rows"][0] == {"t": "2026-01-02T03:00:00Z", "m": "1.50", "f": None, "d": "2026-01-02"}
    assert document["cut"] is True
    assert "cut after 2 rows" in said.err
    Output(None, Question(sql="x"), "csv").show(found)
    assert capsys.readouterr().out.splitlines() == ["t,m,f,d", "2026-01-02T03:00:00Z,1.50,,2026-01-02", ",,2.5,"]


def test_bars_are_as_long_as_their_numbers() -> None:
    output = Output(template("agents"), Question(template="agents"), "chart")
    lines = shown(output, answer(AGENTS, [["a", 1, 2.0], ["b", 1, 1.0], ["c", 1, 0.0]]))
    lengths = [line.count("█") for line in lines[1:]]
    assert lengths[0] == 2 * lengths[1] > 10
    assert lengths[2] == 0
    assert "p95 s" in lines[0]


def test_lines_keep_gaps_and_the_largest_series_come_first() -> None:
    columns = (Column("time", "DateTime"), Column("name", "String"), Column("events", "UInt64"))
    rows: list[list[Any]] = [[AT + timedelta(hours=hour), "big", 8] for hour in (0, 1, 5)]
    rows += [[AT + timedelta(hours=1), "small", 4]]
    lines = shown(Output(template("trends"), Question(template="trends"), "chart"), answer(columns, rows))
    assert lines[1].startswith("big")
    assert lines[2].startswith("small")
    assert "██████" + " " * 6 in lines[1].replace("█" * 12, "██████", 1)
    assert "2026-01-02 03:00" in lines[-1]
    one = shown(Output(template("trends"), Question(template="trends"), "chart"), answer(columns, rows[:3]))
    assert len(one) == 10


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing to draw"):
        shown(Output(None, Question(sql="x"), "chart"), answer((Column("a", "String"),), [["x"]]))
    lines = shown(
        Output(None, Question(sql="x"), "chart"), answer((Column("a", "String"), Column("n", "Int8")), [["x", -1]])
    )
    assert "█" not in "".join(lines)


@pytest.mark.parametrize(
    ("value", "text"), [(12345, "12,345"), (0.0, "0"), (1234.5, "1,234"), (1.23456, "1.235"), (0.00001234, "1.2e-05")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert written(value) == text


def test_what_the_bus_carries_as_text_is_restored() -> None:
    columns = (
        Column("a", "Nullable(Decimal(18, 2))"),
        Column("b", "LowCardinality(Nullable(Date))"),
        Column("c", "DateTime"),
    )
    assert restored(columns, [["1.50", "2026-01-02", AT], [None, None, None]]) == [
        [Decimal("1.50"), date(2026, 1, 2), AT], [None, None, None],
    ]  # fmt: skip
    assert _plain((2**70, {1: b"x"}, [AT])) == [str(2**70), {"1": "b'x'"}, [AT]]


def test_rows_are_cut_into_batches_that_fit() -> None:
    rows = [["x" * 100_000] for _ in range(7)]
    batches = list(_batches(rows))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    assert [row for batch in batches for row in batch] == rows


def test_an_answer_that_is_not_whole_is_no_answer() -> None:
    async def parts(*given: Part) -> AsyncIterator[Part]:
        for one in given:
            yield one

    heading, batch = Heading((Column("a", "Int8"),)), Batch([[1]])
    assert asyncio.run(collect(parts(heading, batch, Ending(1, False, 0)))) == [{"a": 1}]
    for broken in ((heading, batch), (batch, Ending(1, False, 0)), (heading, Ending(1, False, 0))):
        with pytest.raises(StigmergyError, match="not whole"):
            asyncio.run(collect(parts(*broken)))
