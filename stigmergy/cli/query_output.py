"""Answers on the terminal: as a table, as JSON, as CSV, as a chart."""

from __future__ import annotations

import csv
import io
import re
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from schemas.errors import InvalidInput
from stigmergy.cli import screen
from stigmergy.cli.query_charts import Drawn

if TYPE_CHECKING:
    from rich.console import RenderableType

    from projections.analytics.queries.port import Answer, Column, Question
    from projections.analytics.queries.registry import Chart, Template

_NUMBER = re.compile(
    r"(?:(?:Nullable|LowCardinality|SimpleAggregateFunction)\((?:\w+, )?)*(?:U?Int|Float|Decimal|BFloat)"
)
_TIME = re.compile(r"(?:(?:Nullable|LowCardinality|SimpleAggregateFunction)\((?:\w+, )?)*DateTime")
_SUFFIX = {"s": "_s", "%": "_pct", "$": "_usd", "1/s": "_per_s"}
_WIDEST = 60


class Output:
    """Shows the answers to one question. ``how``: table, json, csv or chart."""

    def __init__(self, template: Template | None, question: Question, how: str) -> None:
        self._template = template
        self._question = question
        self._how = how
        self._units = dict(template.units) if template is not None else {}

    def show(self, answer: Answer) -> None:
        """Print it; notes about it go to standard error."""
        if self._how == "json":
            screen.print_json(self._document(answer))
        elif self._how == "csv":
            sys.stdout.write(_csv(answer))
        else:
            screen.out().print(self.drawn(answer))
        if answer.cut:
            typer.echo(f"cut after {screen.counted(len(answer), 'row')}: --limit takes more", err=True)

    def drawn(self, answer: Answer) -> RenderableType:
        """The table or the chart."""
        if not answer:
            return "[dim]nothing was found: no such events, or not since then[/]"
        if self._how == "chart":
            return self._chart(answer)
        headers = [self._header(column) for column in answer.columns]
        right = tuple(header for header, column in zip(headers, answer.columns, strict=True) if _is_number(column))
        table = screen.table(*headers, right=right)
        for row in answer:
            table.add_row(*(_cell(row[column.name]) for column in answer.columns))
        return table

    def _header(self, column: Column) -> str:
        unit = self._units.get(column.name, "")
        name = column.name.removesuffix(_SUFFIX.get(unit, "\0"))
        unit = unit or ("UTC" if _TIME.match(column.type) else "")
        return screen.plain(f"{name} {unit}".strip())

    def _chart(self, answer: Answer) -> RenderableType:
        chart = self._template.chart if self._template is not None else _guessed(answer.columns)
        if chart is None:
            raise InvalidInput(
                "there is nothing to draw: a chart needs a column of numbers, and one of times or names",
                hint="leave --chart out",
            )
        unit = self._units.get(chart.y, "")
        title = f"{chart.y.removesuffix(_SUFFIX.get(unit, chr(0)))} {unit}".strip()
        return Drawn(answer, chart, title)

    def _document(self, answer: Answer) -> dict[str, Any]:
        columns = [
            {"name": one.name, "type": one.type, "unit": self._units.get(one.name, "")} for one in answer.columns
        ]
        rows = [{name: _json(value) for name, value in row.items()} for row in answer]
        asked = self._question.template or "sql"
        return {"query": asked, "columns": columns, "rows": rows, "cut": answer.cut, "elapsed_s": answer.elapsed_s}


def described(template: Template) -> dict[str, Any]:
    """A template for machines."""
    parameters = [
        {"name": one.name, "kind": one.kind, "default": one.default, "description": one.description, "fits": one.fits}
        for one in template.parameters
    ]
    return {
        "name": template.name,
        "title": template.title,
        "description": template.description,
        "parameters": parameters,
        "units": dict(template.units),
        "sql": template.sql,
    }


def written(value: float) -> str:
    """A number in few characters: ``12,345``, ``12.3``, ``0.0123``."""
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size == 0 or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if size >= 1e-4 else f"{value:.1e}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | Decimal):
        return written(float(value) if isinstance(value, Decimal) else value)
    if isinstance(value, datetime):
        return _moment(value)
    text = str(value)
    return screen.plain(text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…")


def _moment(value: datetime) -> str:
    value = value.astimezone(UTC)
    if value.microsecond:
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return value.strftime("%Y-%m-%d %H:%M:%S" if value.second else "%Y-%m-%d %H:%M")


def _json(value: Any) -> Any:
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return None  # JSON has no such numbers
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _json(inner) for key, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, list) else value


def _csv(answer: Answer) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.name for column in answer.columns])
    for row in answer:
        writer.writerow(["" if value is None else _json(value) for value in row.values()])
    return file.getvalue()


def _is_number(column: Column) -> bool:
    return _NUMBER.match(column.type) is not None


def _guessed(columns: tuple[Column, ...]) -> Chart | None:
    """What to draw of SQL of one's own: numbers over times, or beside names."""
    from projections.analytics.queries.registry import Chart

    numbers = [one.name for one in columns if _is_number(one)]
    times = [one.name for one in columns if _TIME.match(one.type)]
    names = [one.name for one in columns if not _is_number(one) and one.name not in times]
    if numbers and times:
        return Chart("line", times[0], numbers[0], names[0] if names else None)
    if names and numbers:
        return Chart("bar", names[0], numbers[0])
    return Chart("bar", numbers[0], numbers[1]) if len(numbers) > 1 else None
