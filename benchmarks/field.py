"""Ours beside what users would take instead: the same graphs of no-op tasks, in one run, sides in turn.

::

    python -m benchmarks.field
    python -m benchmarks.field --only ours,celery,restate --shapes chain --rounds 3

Each peer keeps what its documentation calls durable, with two worker processes where it has workers;
``benchmarks/peers/README.md`` says how each is set up. The first run installs them (a few minutes). A peer that cannot
be had here is left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.measuring import Round
from benchmarks.orchestration import Side
from benchmarks.ours import Hosting, ours
from benchmarks.peers.celery_side import celery_side
from benchmarks.peers.homes import PEERS
from benchmarks.peers.scripted_side import scripted_side
from benchmarks.shapes import Shape, all_shapes
from benchmarks.summary import surroundings
from benchmarks.tables import Table, drawn, marked
from schemas.errors import InvalidInput, StigmergyError, ToolMissing, Unavailable

_progress = Console(stderr=True)
_SHAPES = ("fan-out", "fan-out-join", "chain", "layers-2")
NAMES = ("ours", "celery", *(peer.name for peer in PEERS))
Rounds = dict[str, dict[str, list[Round]]]


def measure(options: argparse.Namespace, shapes: Sequence[Shape], wanted: Sequence[str]) -> Rounds:
    """One side up at a time: nine stacks at once would be in each other's way. Shape to side to rounds."""
    found: Rounds = {shape.name: {} for shape in shapes}
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="stigmergy-bench-") as folder, ExitStack() as stack:
            try:
                side = _up(name, Path(folder) / name, stack, options.concurrency)
                for shape in shapes:
                    found[shape.name][name] = _rounds(side, shape, options)
            except (ToolMissing, Unavailable) as error:
                _progress.print(f"{name} is left out: {error.message} ({error.hint})", style="yellow", markup=False)
    return found


def _up(name: str, folder: Path, stack: ExitStack, concurrency: int) -> Side:
    if name == "ours":
        return stack.enter_context(ours(folder, Hosting(concurrency)))
    if name == "celery":
        return stack.enter_context(celery_side(folder, concurrency))
    return stack.enter_context(scripted_side(next(peer for peer in PEERS if peer.name == name), folder))


def _rounds(side: Side, shape: Shape, options: argparse.Namespace) -> list[Round]:
    kept = []
    for number in range(options.rounds + 1):
        done = side.run(shape, timeout_s=300)
        label = f"round {number}" if number else "warm-up"
        _progress.print(
            f"{side.name}, {shape.title}, {label}: {done.tasks_per_s:.0f} tasks/s, {done.cpu_ms:.2f} CPU ms/task",
            highlight=False,
        )
        if number:
            kept.append(done)
    return kept


def tables(shapes: Sequence[Shape], found: Rounds) -> list[Table]:
    """Rates, and what a task costs; each beside ours."""
    heads = ("tasks/s (ratio to ours)", *(shape.title for shape in shapes))
    names = [name for name in NAMES if any(name in sides for sides in found.values())]
    rates = tuple((_shown(name), *(_rate(found[shape.name], name) for shape in shapes)) for name in names)
    costs = tuple((_shown(name), *(_cost(found[shape.name], name) for shape in shapes)) for name in names)
    return [
        Table("Tasks a second", heads, rates),
        Table("Processor time, ms a task", ("CPU ms/task", *heads[1:]), costs),
    ]


def notes(shapes: Sequence[Shape], found: Rounds) -> list[str]:
    """What has to be known of figures: processes of a side that ended while it did all that it should."""
    made = []
    for shape in shapes:
        for name, rounds in found[shape.name].items():
            ended = [process for one in rounds for process in one.ended]
            if ended:
                what = ", ".join(f"{ended.count(each)} × {each}" for each in dict.fromkeys(ended))
                made.append(
                    f"{name}, {shape.title}: processes of its own ended while it was measured ({what}); every task ran "
                    "once, and what they had used is counted."
                )
    return made


def _shown(name: str) -> str:
    durable = {peer.name: peer.durable for peer in PEERS} | {"ours": "every transition", "celery": "messages, results"}
    return f"{name} ({durable[name]})"


def _rate(sides: dict[str, list[Round]], name: str) -> str:
    if name not in sides:
        return "–"
    rate = median(one.tasks_per_s for one in sides[name])
    if "ours" not in sides:
        return f"{rate:.0f}"
    return f"{rate:.0f} ({rate / median(one.tasks_per_s for one in sides['ours']):.2f}×)"


def _cost(sides: dict[str, list[Round]], name: str) -> str:
    return f"{median(one.cpu_ms for one in sides[name]):.2f}" if name in sides else "–"


def main() -> int:
    """Measure and print. Returns the exit code."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    about = surroundings()
    try:
        shapes = _chosen_shapes(options)
        found = measure(options, shapes, _chosen_sides(options))
    except StigmergyError as error:
        _progress.print(f"{error.code}: {error.message}\n{error.hint}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    made, noted = tables(shapes, found), notes(shapes, found)
    command = shlex.join(["python", "-m", "benchmarks.field", *(a for a in sys.argv[1:] if a != "--markdown")])
    load = about["load_before"]
    caption = (
        f"`{command}`, {about['date']}, {os.cpu_count()} cores, Python {about['python']}. Medians of {options.rounds} "
        f"rounds after one to warm up; {options.concurrency} worker processes a side; load before {load}."
    )
    if options.json:
        plain = {s: {n: [vars_of(r) for r in rounds] for n, rounds in sides.items()} for s, sides in found.items()}
        print(json.dumps({"about": about, "rounds": plain}, indent=2))
    elif options.markdown:
        print("\n\n".join([caption, *(marked(table) for table in made), *noted]))
    else:
        console = Console()
        for table in made:
            console.print(drawn(table))
        for line in (*noted, caption):
            console.print(line, soft_wrap=True)
    return 0


def vars_of(done: Round) -> dict[str, Any]:
    """A round in plain numbers, and which processes ended in it."""
    plain = {"tasks_per_s": round(done.tasks_per_s, 1), "cpu_ms": round(done.cpu_ms, 3), "seconds": done.seconds}
    return {**plain, "ended": done.ended} if done.ended else plain


def _chosen_shapes(options: argparse.Namespace) -> list[Shape]:
    known = {
        shape.name: shape
        for shape in all_shapes(fan=options.fan_out, length=options.chain, layers=options.layers, width=options.width)
    }
    names = options.shapes.split(",") if options.shapes else list(_SHAPES)
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"there is no shape {unknown[0]!r}", hint=f"the shapes are: {', '.join(known)}")
    return [known[name] for name in names]


def _chosen_sides(options: argparse.Namespace) -> list[str]:
    names = options.only.split(",") if options.only else list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        raise InvalidInput(f"there is no side {unknown[0]!r}", hint=f"the sides are: {', '.join(NAMES)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.field", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--fan-out", type=int, default=1000)
    add("--chain", type=int, default=200)
    add("--layers", type=int, default=10)
    add("--width", type=int, default=50)
    add("--concurrency", type=int, default=2, help="worker processes of ours and Celery's; the others have two")
    add("--only", help=f"some of: {','.join(NAMES)}")
    add("--shapes", help=f"some of: {','.join(_SHAPES)},layers-all")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--markdown", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
