"""Dramatiq over Redis, two worker processes with one thread each; graphs by hand in Redis."""

from __future__ import annotations

import os
import sys
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.by_hand import URL, Graph
from benchmarks.peers.rounds import Needs, Record, answer, helpers

broker = RedisBroker(url=os.environ[URL])
dramatiq.set_broker(broker)
graph, record = Graph(os.environ[URL]), Record()


@dramatiq.actor(actor_name="step", max_retries=0)
def step(run: str, task: str) -> None:
    """Do nothing, and send what this made ready."""
    record.note(run, task, time.monotonic_ns())
    for ready in graph.finish(run, task):
        step.send(run, ready)


def _play(run: str, needs: Needs) -> None:
    for task in graph.begin(run, needs):
        step.send(run, task)
    graph.wait(run)


def main() -> None:
    """Drive."""
    worker = ["dramatiq", "benchmarks.peers.dramatiq_redis", "--processes", "2", "--threads", "1"]
    with helpers([sys.executable, "-m", *worker]):
        _play("first", {"first": []})
        answer(_play)


if __name__ == "__main__":
    main()
