"""Prefect: a flow that submits tasks to its task runner, with a server of its own (SQLite) that keeps every state."""

from __future__ import annotations

import os
import time
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from benchmarks.peers.rounds import Needs, Record, answer

record = Record()


@task(name="step", persist_result=False, log_prints=False)
def step(run: str, name: str) -> str:
    """Do nothing."""
    record.note(run, name, time.monotonic_ns())
    return name


@flow(name="graph", task_runner=ThreadPoolTaskRunner(max_workers=8), persist_result=False)
def graph(run: str, needs: dict[str, list[str]]) -> None:
    """Submit every task with what it waits for."""
    futures: dict[str, Any] = {}
    for name, before in needs.items():
        futures[name] = step.submit(run, name, wait_for=[futures[need] for need in before])
    for future in futures.values():
        future.result()


def main() -> None:
    """Drive. The server is where PREFECT_API_URL says."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")

    def play(run: str, needs: Needs) -> None:
        graph(run, {name: list(before) for name, before in needs.items()})

    play("first", {"first": []})
    answer(play)


if __name__ == "__main__":
    main()
