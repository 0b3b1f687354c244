"""Restate: a handler that calls another service for each task, through Restate's own queue; each call is journalled.

Two processes serve the handlers (hypercorn). The server is the one that its npm package carries.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import httpx
import restate

from benchmarks.peers.rounds import Needs, Record, answer, helpers

INGRESS, ADMIN, PORT = "BENCH_RESTATE_INGRESS", "BENCH_RESTATE_ADMIN", "BENCH_RESTATE_PORT"
tasks, graphs = restate.Service("Tasks"), restate.Service("Graphs")


@tasks.handler("step")
async def step(ctx: restate.Context, asked: dict[str, str]) -> str:
    """Do nothing."""
    Record().note(asked["run"], asked["task"], time.monotonic_ns())
    return asked["task"]


@graphs.handler("play")
async def play_graph(ctx: restate.Context, asked: dict[str, Any]) -> int:
    """Call every task when all that it needs has ended."""
    run, waiting = asked["run"], {task: len(needs) for task, needs in asked["needs"].items()}
    after: dict[str, list[str]] = {task: [] for task in waiting}
    for task, needs in asked["needs"].items():
        for need in needs:
            after[need].append(task)
    running = [ctx.service_call(step, {"run": run, "task": task}) for task, count in waiting.items() if not count]
    while running:
        done, running = await restate.wait_completed(*running)
        for future in done:
            for task in after[await future]:
                waiting[task] -= 1
                if waiting[task] == 0:
                    running = [*running, ctx.service_call(step, {"run": run, "task": task})]
    return len(waiting)


app = restate.app([tasks, graphs])


def main() -> None:
    """Drive."""
    port = os.environ[PORT]
    serve = ["hypercorn", "--bind", f"127.0.0.1:{port}", "--workers", "2", "benchmarks.peers.restate_calls:app"]
    with helpers([sys.executable, "-m", *serve]), httpx.Client(timeout=300) as http:
        _register(http, port)

        def play(run: str, needs: Needs) -> None:
            asked = {"run": run, "needs": {task: list(before) for task, before in needs.items()}}
            http.post(f"{os.environ[INGRESS]}/Graphs/play", json=asked).raise_for_status()

        play("first", {"first": []})
        answer(play)


def _register(http: httpx.Client, port: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            answered = http.post(f"{os.environ[ADMIN]}/deployments", json={"uri": f"http://127.0.0.1:{port}"})
            if answered.is_success:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("Restate does not take the deployment")
        time.sleep(0.2)


if __name__ == "__main__":
    asyncio.set_event_loop_policy(None)
    main()
