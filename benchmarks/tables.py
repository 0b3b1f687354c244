"""The report for people: tables for the terminal and, with the same content, for documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.measuring import Latency
from benchmarks.summary import Report, Summary, ratios

_NONE = "–"


@dataclass(frozen=True)
class Table:
    """A title, column heads, and rows of text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(report: Report) -> tuple[Table, ...]:
    """All tables of a report; those without rows are left out."""
    made = (_comparison(report), _latencies(report), *(_parts(report, side) for side in ("ours", "celery")))
    return tuple(table for table in made if table.rows)


def show(report: Report, console: Console) -> None:
    """Print everything to a terminal."""
    for table in tables(report):
        console.print(drawn(table))
    console.print(caption(report), soft_wrap=True)


def markdown(report: Report) -> str:
    """The same for a document."""
    blocks = [caption(report)]
    for table in tables(report):
        blocks += [f"**{table.title}**", marked(table)]
    return "\n\n".join(blocks) + "\n"


def drawn(table: Table) -> RichTable:
    """A table for the terminal."""
    made = RichTable(title=table.title, title_justify="left")
    for place, head in enumerate(table.heads):
        made.add_column(head, justify="right" if place else "left")
    for row in table.rows:
        made.add_row(*row)
    return made


def marked(table: Table) -> str:
    """A table for a document, without its title."""
    lines = [_line(table.heads), _line(["---", *["---:"] * (len(table.heads) - 1)])]
    return "\n".join([*lines, *(_line(row) for row in table.rows)])


def caption(report: Report) -> str:
    """Where the numbers come from."""
    about = report.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    noted = " Under a profiler: times are not comparable." if about["profiled"] else ""
    return (
        f"`{about['command']}`, {about['date']}, {about['cores']} cores, {about['machine']}, Python {about['python']}, "
        f"{versions}. Medians of {about['rounds']} rounds after {about['warm_ups']} to warm up, sides in turn; load "
        f"before the start {about['load_before']:.2f}; {about['concurrency']} worker processes a side.{noted}"
    )


def _comparison(report: Report) -> Table:
    heads = ("shape", "ours tasks/s", "Celery tasks/s", "ratio", "ours CPU ms/task", "Celery CPU ms/task", "ratio")
    rows = []
    for name, sides in report.results.items():
        ours, celery, ratio = sides.get("ours"), sides.get("celery"), ratios(sides)
        rows.append(
            (
                report.titles[name],
                _rate(ours),
                _rate(celery),
                _times(ratio.get("tasks_per_s")),
                _cpu(ours),
                _cpu(celery),
                _times(ratio.get("cpu_ms")),
            )
        )
    return Table("Speed and cost (lowest–highest round in brackets; ratio: ours / Celery)", heads, tuple(rows))


def _latencies(report: Report) -> Table:
    heads = ("latency, ms: p50 / p95 / p99", "ours", "Celery", "p50 ratio")
    kinds = {
        "dispatch": "ready → a worker has it",
        "begin": "ready → the agent's code runs",
        "step": "start → next start",
    }
    rows = []
    for name, sides in report.results.items():
        for kind, title in kinds.items():
            values = [getattr(sides[side], kind) if side in sides else None for side in ("ours", "celery")]
            if any(values):
                ratio = ratios(sides).get(f"{kind}_p50")
                rows.append((f"{report.titles[name]}: {title}", *(_latency(value) for value in values), _times(ratio)))
    return Table("Latency (only in the chain is it free of queueing)", heads, tuple(rows))


def _parts(report: Report, side: str) -> Table:
    found = {report.titles[name]: sides[side] for name, sides in report.results.items() if side in sides}
    names = tuple(next(iter(found.values())).parts_ms) if found else ()
    rows = [(title, *(f"{one.parts_ms[part]:.2f}" for part in names), _cpu(one)) for title, one in found.items()]
    label = {"ours": "our", "celery": "Celery's"}[side]
    return Table(f"Where {label} CPU time goes, ms/task", ("shape", *names, "all"), tuple(rows))


def _rate(one: Summary | None) -> str:
    if one is None:
        return _NONE
    low, high = one.tasks_per_s_range
    return f"{one.tasks_per_s:.0f} ({low:.0f}–{high:.0f})"


def _cpu(one: Summary | None) -> str:
    return _NONE if one is None else f"{one.cpu_ms:.2f}"


def _times(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{ratio:.2f}×"


def _latency(one: Latency | None) -> str:
    return _NONE if one is None else f"{one.p50:.1f} / {one.p95:.1f} / {one.p99:.1f}"


def _line(cells: Sequence[str] | Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
