"""Celery's side: a Valkey of its own, a worker, and a submitter that uses Celery's canvas."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from celery import Celery, chain, chord, group
from celery.exceptions import TimeoutError as NoResult

from benchmarks.measuring import SETTLE_S, CpuMeter, Latency, Round
from benchmarks.peers.by_hand import URL
from benchmarks.peers.celery_bare import ECHO, RECORD, STEP, Steps, make_app
from benchmarks.processes import module
from benchmarks.shapes import JOIN, Shape
from benchmarks.verifying import Execution, check
from schemas.errors import TimedOut
from stigmergy.local.ephemeral import valkey_server

NAME = "celery"


class CelerySide:
    """Runs shapes on a worker that is up."""

    name = NAME

    def __init__(self, app: Celery, steps: Steps, record: Path, roots: Mapping[str, int]) -> None:
        self._app, self._steps, self._record = app, steps, record
        self._meter = CpuMeter(roots)
        self._runs: dict[str, Shape] = {}

    def run(self, shape: Shape, timeout_s: float) -> Round:
        """Send the shape and await its end. Raises NotTheSameWork, TimedOut."""
        run = uuid.uuid4().hex
        self._runs[run] = shape
        send = self._prepared(run, shape)
        self._meter.start()
        begin = time.perf_counter()
        wait = send()
        submitted = time.perf_counter()
        try:
            wait(timeout_s)
        except NoResult:
            raise TimedOut(f"{NAME}, {shape.title}: no end in {timeout_s:g} s", hint="look at its worker") from None
        end = time.perf_counter()
        time.sleep(SETTLE_S)
        cpu_s = self._meter.spent()
        executions = self._executions().get(run, [])
        check(NAME, shape, executions)
        waits = Latency.of(one.started_s - one.ready_s for one in executions)
        return Round(
            tasks=len(shape),
            executions=len(executions),
            submit_s=submitted - begin,
            seconds=end - begin,
            cpu_s=cpu_s,
            dispatch=waits,
            begin=waits if shape.kind == "chain" else None,
            step=_steps_of(executions) if shape.kind == "chain" else None,
        )

    def check_again(self) -> None:
        """Every run once more, for what came after its end was seen. Raises NotTheSameWork."""
        executions = self._executions()
        for run, shape in self._runs.items():
            check(NAME, shape, executions.get(run, []))

    def _prepared(self, run: str, shape: Shape) -> Callable[[], Callable[[float], object]]:
        """Everything made before the clock starts; call it to send, and call the outcome to wait."""
        if shape.kind == "layers":
            return lambda: self._by_hand(run, shape)
        echo = self._app.tasks[ECHO]
        signatures = {task: echo.si(run, task, {}) for task in shape.tasks}
        match shape.kind:
            case "chain":
                canvas = chain(*signatures.values())
            case "join":
                last = signatures.pop(JOIN)
                canvas = chord(group(list(signatures.values())), last)
            case _:
                canvas = group(list(signatures.values()))
        return lambda: _waiting(canvas.apply_async())

    def _by_hand(self, run: str, shape: Shape) -> Callable[[float], object]:
        step = self._app.tasks[STEP]
        for task in self._steps.graph.begin(run, shape.needs):
            step.apply_async((run, task, {}))

        def wait(timeout_s: float) -> None:
            try:
                self._steps.graph.wait(run, timeout_s)
            except TimeoutError:
                raise NoResult from None

        return wait

    def _executions(self) -> dict[str, list[Execution]]:
        found: dict[str, list[Execution]] = {}
        for line in self._record.read_text(encoding="utf-8").splitlines():
            run, task, *stamps = line.split(" ")
            published, started, ended = (int(stamp) for stamp in stamps)
            start_s = started / 1e9
            one = Execution(task, published / 1e9, start_s, start_s, (started, 0), (ended, 0))
            found.setdefault(run, []).append(one)
        return found


def _waiting(result: Any) -> Callable[[float], object]:
    # Both settings favour Celery. Its first look at the results of a group ends with a sleep of this interval, by
    # default half a second; and to propagate errors it asks for every result of a chain, an eighth of its time.
    return lambda timeout_s: result.get(timeout=timeout_s, interval=0.01, propagate=False)


def _steps_of(executions: Sequence[Execution]) -> Latency | None:
    starts = sorted(one.started_s for one in executions)
    return Latency.of(after - before for before, after in pairwise(starts))


@contextmanager
def celery_side(folder: Path, concurrency: int) -> Iterator[CelerySide]:
    """Valkey and a worker below ``folder``. Raises ToolMissing, Unavailable."""
    folder.mkdir()
    record = folder / "executions.txt"
    record.touch()
    with valkey_server(folder / "servers") as valkey:
        env = {**os.environ, URL: valkey.url, RECORD: str(record)}
        with module("benchmarks.peers.celery_bare", (str(concurrency),), env, folder) as worker:
            app, steps = make_app(valkey.url)
            side = CelerySide(app, steps, record, {"workers": worker, "valkey": valkey.pid})
            try:
                yield side
            finally:
                app.close()
                steps.graph.close()
