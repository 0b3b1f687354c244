"""Charts made of characters: bars beside names, and a line of blocks over time for each series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stigmergy.cli import screen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from projections.analytics.queries.port import Answer
    from projections.analytics.queries.registry import Chart

_ACROSS = " ▏▎▍▌▋▊▉█"
_UP = " ▁▂▃▄▅▆▇█"
_NAME = 28
_NUMBER = 10
_HEIGHT = 8
_MOST_SERIES = 12


class Drawn:
    """A chart of an answer, as wide as the terminal is when it is printed."""

    def __init__(self, answer: Answer, chart: Chart, title: str) -> None:
        self._answer = answer
        self._chart = chart
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        draw = lines if self._chart.kind == "line" else bars
        yield Text.from_markup("\n".join(draw(self._answer, self._chart, self._title, options.max_width)))


def bars(answer: Answer, chart: Chart, title: str, width: int) -> list[str]:
    """A bar for each row, in lines of rich markup."""
    values = [_number(row[chart.y]) for row in answer]
    most = max((value for value in values if value > 0), default=0.0)
    room = max(width - _NAME - _NUMBER - 4, 10)
    drawn = [f"[dim]{screen.plain(chart.x):<{_NAME}}  {screen.plain(title)}[/]"]
    for row, value in zip(answer, values, strict=True):
        bar = _bar(value / most * room if most else 0.0)
        drawn.append(f"{_fitted(row[chart.x])}  [cyan]{bar}[/] {_shown(row[chart.y])}")
    return drawn


def lines(answer: Answer, chart: Chart, title: str, width: int) -> list[str]:
    """One series: an area of several lines. Several: a line of blocks for each, all on one scale, the largest first."""
    times = sorted({row[chart.x] for row in answer})
    slots = _slots(times)
    series: dict[str, dict[datetime, float]] = {}
    for row in answer:
        name = str(row[chart.series]) if chart.series is not None else title
        series.setdefault(name, {})[row[chart.x]] = _number(row[chart.y])
    ranked = sorted(series, key=lambda name: (-sum(series[name].values()), name))
    room = max(width - _NAME - _NUMBER - 4, 10)
    cut = {name: _squeezed([series[name].get(slot, 0.0) for slot in slots], room) for name in ranked[:_MOST_SERIES]}
    most = max((value for values in cut.values() for value in values), default=0.0)
    drawn = [f"[dim]{screen.plain(title)}, at most {_shown(most)}[/]"]
    if len(cut) == 1:
        drawn += _area(next(iter(cut.values())), most)
    else:
        for name, values in cut.items():
            drawn.append(f"{_fitted(name)}  [cyan]{''.join(_level(v, most) for v in values)}[/] {_shown(max(values))}")
    left = 0 if len(cut) == 1 else _NAME + 2
    drawn.append(_axis(times[0], times[-1], left, len(next(iter(cut.values())))))
    if len(ranked) > _MOST_SERIES:
        drawn.append(f"[dim]and {len(ranked) - _MOST_SERIES} smaller ones[/]")
    return drawn


def _area(values: Sequence[float], most: float) -> list[str]:
    rows = []
    for height in range(_HEIGHT - 1, -1, -1):
        heights = (value / most * _HEIGHT - height if most else 0.0 for value in values)
        cells = "".join(_UP[max(0, min(8, round(share * 8)))] for share in heights)
        rows.append(f"[cyan]{cells}[/]")
    return rows


def _level(value: float, most: float) -> str:
    if value <= 0 or most <= 0:
        return " "
    return _UP[max(1, min(8, round(value / most * 8)))]


def _bar(length: float) -> str:
    whole, rest = divmod(max(length, 0.0), 1)
    return "█" * int(whole) + (_ACROSS[round(rest * 8)] if round(rest * 8) else "")


def _slots(times: Sequence[datetime]) -> list[datetime]:
    """The times with those between them at which nothing was: a gap is drawn as a gap."""
    steps = [after - before for before, after in pairwise(times)]
    if not steps:
        return list(times)
    step = min(steps)
    count = (times[-1] - times[0]) // step + 1
    return [times[0] + step * number for number in range(count)] if count <= 100_000 else list(times)


def _squeezed(values: Sequence[float], room: int) -> list[float]:
    """At most ``room`` values, each the greatest of its share; fewer are widened as far as all fit evenly."""
    if len(values) <= room:
        wide = max(1, min(room // len(values), 6))
        return [value for value in values for _ in range(wide)]
    edges = [number * len(values) // room for number in range(room + 1)]
    return [max(values[begin:end]) for begin, end in pairwise(edges)]


def _axis(first: datetime, last: datetime, left: int, length: int) -> str:
    shown = [moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for moment in (first, last)]
    if first == last or length < 36:
        return f"[dim]{'':<{left}}{shown[0]} to {shown[1]} UTC[/]"
    return f"[dim]{'':<{left}}{shown[0]}{shown[1]:>{length - len(shown[0])}} UTC[/]"


def _fitted(name: Any) -> str:
    text = str(name) or "(none)"
    cut = text if len(text) <= _NAME else "…" + text[-(_NAME - 1) :]
    return screen.plain(cut.ljust(_NAME))


def _number(value: Any) -> float:
    number = float(value) if value is not None else 0.0
    return number if abs(number) < float("inf") else 0.0


def _shown(value: Any) -> str:
    from stigmergy.cli.query_output import written

    return "" if value is None else written(value if isinstance(value, int) else float(value))
