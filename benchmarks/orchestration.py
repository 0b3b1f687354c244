"""The whole path of a task, ours beside bare Celery's, in the same run.

::

    python -m benchmarks.orchestration
    python -m benchmarks.orchestration --rounds 1 --shapes chain --only ours --profile profiles/

Ours: submission, log, orchestrator, task-queue manager, Celery, worker, log, and the outcome seen by the submitter.
Both sides are up from the beginning, each with servers of its own, and take turns; after a warm-up round of each shape
medians of the rest are reported. How each side does it, and what is counted, is in ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from rich.console import Console

from benchmarks.measuring import Round
from benchmarks.ours import Hosting, ours
from benchmarks.peers.celery_side import celery_side
from benchmarks.shapes import Shape, all_shapes
from benchmarks.summary import Report, report, surroundings
from benchmarks.tables import markdown, show
from schemas.errors import InvalidInput, StigmergyError

_progress = Console(stderr=True)


class Side(Protocol):
    """One of the two that are compared."""

    name: str

    def run(self, shape: Shape, timeout_s: float) -> Round:
        """Run the shape once, verify it, and return what was measured."""


def measure(options: argparse.Namespace) -> Report:
    """Start the sides, run everything, end the sides. Raises whatever a side raises; nothing is left running."""
    shapes = _chosen(options)
    about = {**surroundings(), "command": options.command, "rounds": options.rounds, "warm_ups": options.warm_ups}
    about |= {"concurrency": options.concurrency, "profiled": options.profile is not None}
    with tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder, ExitStack() as stack:
        sides: list[Side] = []
        if options.only != "celery":
            hosting = Hosting(options.concurrency, options.split_roles, profile=options.profile)
            sides.append(stack.enter_context(ours(Path(folder) / "ours", hosting)))
        if options.only != "ours":
            celery = stack.enter_context(celery_side(Path(folder) / "celery", options.concurrency))
            sides.append(celery)
        rounds = {shape.name: _alternate(shape, sides, options) for shape in shapes}
        if options.only != "ours":
            celery.check_again()
    return report(shapes, rounds, about)


def _alternate(shape: Shape, sides: Sequence[Side], options: argparse.Namespace) -> dict[str, list[Round]]:
    """A B A B …, the warm-up of each thrown away."""
    kept: dict[str, list[Round]] = {side.name: [] for side in sides}
    for number in range(1 - options.warm_ups, options.rounds + 1):
        for side in sides:
            done = side.run(shape, timeout_s=60 + 0.1 * len(shape))
            label = f"round {number}" if number > 0 else "warm-up"
            _progress.print(
                f"{shape.title}, {label}, {side.name}: {done.tasks_per_s:.0f} tasks/s, {done.cpu_ms:.2f} CPU ms/task",
                highlight=False,
            )
            if number > 0:
                kept[side.name].append(done)
    return kept


def _chosen(options: argparse.Namespace) -> tuple[Shape, ...]:
    shapes = all_shapes(fan=options.fan_out, length=options.chain, layers=options.layers, width=options.width)
    known = {shape.name: shape for shape in shapes}
    names = options.shapes.split(",") if options.shapes else list(known)
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"there is no shape {unknown[0]!r}", hint=f"the shapes are: {', '.join(known)}")
    return tuple(known[name] for name in names)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    options.command = shlex.join(["python", "-m", "benchmarks.orchestration", *_telling(given)])
    # Whoever ends us wants the servers and workers gone as well: leave through the blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.profile is not None:
            options.profile.mkdir(parents=True, exist_ok=True)
        found = measure(options)
    except StigmergyError as error:
        _progress.print(f"{error.code}: {error.message}\n{error.hint}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
    elif options.markdown:
        print(markdown(found), end="")
    else:
        show(found, Console())
    return 0


def _telling(given: Sequence[str]) -> list[str]:
    """The arguments that a reader needs to repeat the run."""
    return [argument for argument in given if argument not in ("--json", "--markdown")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.orchestration", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--rounds", type=_count, default=5, help="measured rounds of each shape and side")
    add("--warm-ups", type=_whole, default=1, help="rounds of each shape and side before those that count")
    add("--fan-out", type=_count, default=1000, help="tasks side by side")
    add("--chain", type=_count, default=200, help="tasks one after another")
    add("--layers", type=_count, default=10)
    add("--width", type=_count, default=50, help="tasks in a layer")
    add("--concurrency", type=_count, default=2, help="worker processes of each side")
    add("--only", choices=("ours", "celery"), help="one side alone")
    add("--shapes", help="some of: fan-out,fan-out-join,chain,layers-2,layers-all")
    add("--split-roles", action="store_true", help="a process for each of our roles, instead of one for both")
    add("--profile", type=Path, metavar="DIR", help="run our roles under cProfile and write the statistics there")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--markdown", action="store_true")
    return parser


def _count(text: str) -> int:
    return _whole(text, least=1)


def _whole(text: str, least: int = 0) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}")
    return number


if __name__ == "__main__":
    sys.exit(main())
