"""Taskiq over NATS JetStream (files, explicit acknowledgement), two worker processes; graphs by hand in Redis."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from nats.js.api import ConsumerConfig, StorageType, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks.peers.by_hand import URL, Graph
from benchmarks.peers.rounds import Needs, Record, answer, helpers

NATS = "BENCH_NATS_URL"

broker = PullBasedJetStreamBroker(
    os.environ[NATS],
    stream_config=StreamConfig(name="taskiq_jetstream", subjects=["taskiq_tasks"], storage=StorageType.FILE),
    consumer_config=ConsumerConfig(durable_name="taskiq_durable", ack_wait=30, max_ack_pending=1000),
    pull_consume_batch=10,
    pull_consume_timeout=1,
)
graph, record = Graph(os.environ[URL]), Record()


@broker.task(task_name="step")
async def step(run: str, task: str) -> None:
    """Do nothing, and send what this made ready."""
    record.note(run, task, time.monotonic_ns())
    for ready in graph.finish(run, task):
        await step.kiq(run, ready)


async def _send(run: str, roots: list[str]) -> None:
    for start in range(0, len(roots), 200):
        await asyncio.gather(*(step.kiq(run, task) for task in roots[start : start + 200]))


def main() -> None:
    """Drive."""
    loop = asyncio.new_event_loop()
    worker = [
        "taskiq",
        "worker",
        "benchmarks.peers.taskiq_jetstream:broker",
        "--workers",
        "2",
        "--log-level",
        "WARNING",
    ]
    loop.run_until_complete(broker.startup())
    with helpers([sys.executable, "-m", *worker]):

        def play(run: str, needs: Needs) -> None:
            loop.run_until_complete(_send(run, graph.begin(run, needs)))
            graph.wait(run)

        play("first", {"first": []})
        answer(play)
    loop.run_until_complete(broker.shutdown())


if __name__ == "__main__":
    main()
