"""DBOS: a workflow that enqueues each task as a workflow of its own, two processes, PostgreSQL.

``python -m benchmarks.peers.dbos_queue serve ID`` is a process that takes tasks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from dbos import DBOS, DBOSConfig

from benchmarks.peers.rounds import Needs, Record, answer, dependents_of, helpers

URL = "BENCH_POSTGRES_URL"
_POLL_S = 0.01
_QUEUE = "bench"
record = Record()


@DBOS.workflow()
def step(run: str, task: str) -> str:
    """Do nothing."""
    record.note(run, task, time.monotonic_ns())
    return task


@DBOS.workflow()
def graph(run: str, needs: dict[str, list[str]]) -> int:
    """Enqueue every task when all that it needs has ended."""
    waiting, after = {task: len(before) for task, before in needs.items()}, dependents_of(needs)
    open_: list[Any] = [DBOS.enqueue_workflow(_QUEUE, step, run, task) for task, count in waiting.items() if not count]
    while open_:
        done = DBOS.wait_first(open_, polling_interval_sec=_POLL_S) if len(open_) > 1 else open_[0]
        open_ = [handle for handle in open_ if handle.get_workflow_id() != done.get_workflow_id()]
        for task in after[done.get_result(polling_interval_sec=_POLL_S)]:
            waiting[task] -= 1
            if waiting[task] == 0:
                open_.append(DBOS.enqueue_workflow(_QUEUE, step, run, task))
    return len(needs)


def _launch(executor: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ[URL],
        "executor_id": executor,
        "log_level": "ERROR",
        "use_listen_notify": True,
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(_QUEUE, polling_interval_sec=_POLL_S)


def _play(run: str, needs: Needs) -> None:
    asked = {task: list(before) for task, before in needs.items()}
    roots_only = all(not before for before in asked.values())
    if roots_only:
        handles = [DBOS.enqueue_workflow(_QUEUE, step, run, task) for task in asked]
        for handle in handles:
            handle.get_result(polling_interval_sec=_POLL_S)
        return
    DBOS.start_workflow(graph, run, asked).get_result(polling_interval_sec=_POLL_S)


def main() -> None:
    """Serve, or drive with one further process that takes tasks."""
    if sys.argv[1:2] == ["serve"]:
        _launch(sys.argv[2])
        threading.Event().wait()
    _launch("driver")
    with helpers([sys.executable, "-m", "benchmarks.peers.dbos_queue", "serve", "second"]):
        _play("first", {"first": []})
        answer(_play)
    DBOS.destroy()


if __name__ == "__main__":
    main()
