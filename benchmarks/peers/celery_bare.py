"""Bare Celery as its documentation recommends it: Valkey as broker and result backend, prefork, late acknowledgements.

What has a canvas uses it: ``group``, ``chord``, ``chain``. Graphs in layers are made by hand, with counters in Redis,
because Celery's own canvas runs chained groups too often. Every execution leaves one line in a file, which costs a
few microseconds; so it can be checked that each ran once and in order.

``python -m benchmarks.peers.celery_bare N`` is the worker; ``BENCH_REDIS_URL`` and ``BENCH_RECORD`` say where.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, worker_ready

from benchmarks.peers.by_hand import URL, Graph
from stigmergy.local import report_ready

RECORD = "BENCH_RECORD"
ECHO, STEP = "bench.echo", "bench.step"
_STAMP = "bench_published"


class Steps:
    """What the two tasks do, and where they note it.

    Args:
        record: file for one line an execution; None in a process that only submits.
    """

    def __init__(self, url: str, record: Path | None) -> None:
        self.graph = Graph(url)
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if record else None

    def note(self, request: Any, run: str, task: str, started_ns: int) -> None:
        """One line: run, task, published, started, ended (nanoseconds of the machine's monotonic clock)."""
        if self._record is not None:
            line = f"{run} {task} {getattr(request, _STAMP)} {started_ns} {time.monotonic_ns()}\n"
            os.write(self._record, line.encode())


def make_app(url: str, record: Path | None = None) -> tuple[Celery, Steps]:
    """The application and its two tasks; everything that is not set here is Celery's default."""
    app = Celery("bench", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True)
    steps = Steps(url, record)

    def echo(self: Any, run: str, task: str, inputs: dict[str, Any]) -> dict[str, Any]:
        steps.note(self.request, run, task, time.monotonic_ns())
        return inputs

    def step(self: Any, run: str, task: str, inputs: dict[str, Any]) -> dict[str, Any]:
        steps.note(self.request, run, task, time.monotonic_ns())
        for ready in steps.graph.finish(run, task):
            self.apply_async((run, ready, {}))
        return inputs

    app.task(bind=True, name=ECHO)(echo)
    app.task(bind=True, name=STEP)(step)
    before_task_publish.connect(_stamp, weak=False)
    return app, steps


def _stamp(headers: dict[str, Any] | None = None, **_: object) -> None:
    if headers is not None:
        headers[_STAMP] = time.monotonic_ns()


def _ready(**_: object) -> None:
    report_ready()


def main(concurrency: str) -> int:
    """The worker, until SIGTERM. Returns the exit code."""
    app, _ = make_app(os.environ[URL], Path(os.environ[RECORD]))
    worker_ready.connect(_ready, weak=False)
    try:
        app.worker_main(["worker", f"--concurrency={concurrency}", "--pool=prefork", "--loglevel=WARNING"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
