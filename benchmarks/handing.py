"""What hand-offs and peer requests cost: ``python -m benchmarks.handing``.

Hand-offs: tasks that are handed on at once and then end, beside pairs of ordinary tasks of which the second needs the
first; from the report of the one attempt until the claim of the next, by the clocks of one machine. Peer requests: one
attempt asks again and again, beside a request on core NATS to a process that answers with the same bytes; ours has two
facts on the log before the answer is given.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from nats.aio.msg import Msg

from benchmarks.measuring import Latency
from benchmarks.ours import Hosting, Ours, ours
from benchmarks.processes import ROOT, module
from benchmarks.verifying import NotTheSameWork
from events.jetstream import connect
from schemas.envelope import moment_of
from schemas.events import parse
from schemas.events.attempt import AttemptFinished, AttemptStarted
from stigmergy import Client, MissionHandle, Plan, TaskSpec
from stigmergy.settings import PREFIX
from stigmergy.wiring import nats_url

_AGENTS = str(ROOT / "benchmarks" / "handing_agents.py")
_RAW = "raw.echo"
_WAIT_S = 300.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.handing")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=2)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="stig-handing-") as folder, ExitStack() as stack:
        side = stack.enter_context(ours(Path(folder) / "stack", Hosting(concurrency=1)))
        env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        env |= side.settings.environment()
        arguments = ("workers", "start", "--import", _AGENTS, "--concurrency", str(options.concurrency))
        skills = ("--skills", "bench-give,bench-take,bench-ask")
        stack.enter_context(module("stigmergy.cli", (*arguments, *skills), env, Path(folder)))
        for line in asyncio.run(_measure(side, options.tasks, options.requests)):
            print(line)
    return 0


async def _measure(side: Ours, tasks: int, requests: int) -> list[str]:
    async with Client(side.settings) as client:
        given = Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="bench-give") for n in range(tasks)))
        pairs = [TaskSpec(id=f"a{n}", skill="bench-take") for n in range(tasks)]
        pairs += [TaskSpec(id=f"b{n}", skill="bench-take", needs=(f"a{n}",)) for n in range(tasks)]
        await _run(client, Plan(tasks=tuple(pairs[:1])))  # warm
        handed_s, handed = await _gaps(client, given)
        paired_s, paired = await _gaps(client, Plan(tasks=tuple(pairs)))
        one_by_one = [(await _gaps(client, Plan(tasks=given.tasks[:1])))[1] for _ in range(20)]
        alone = [(await _gaps(client, Plan(tasks=(pairs[0], pairs[tasks]))))[1] for _ in range(20)]
        asked = await _asked(client, requests)
    raw = await _raw(side, requests)
    return [
        "| | a second | p50 ms | p99 ms |",
        "| --- | --- | --- | --- |",
        _row(f"hand-offs, {tasks} tasks at once", tasks / handed_s, handed),
        _row("next tasks, as many pairs at once", tasks / paired_s, paired),
        _row("a hand-off on an idle fleet", None, [gap for gaps in one_by_one for gap in gaps]),
        _row("a next task on an idle fleet", None, [gap for gaps in alone for gap in gaps]),
        _row("peer requests, one after another", len(asked) / sum(asked), asked),
        _row("requests on core NATS", len(raw) / sum(raw), raw),
    ]


def _row(name: str, rate: float | None, seconds: list[float]) -> str:
    latency = Latency.of(seconds)
    assert latency is not None
    return f"| {name} | {'' if rate is None else f'{rate:.0f}'} | {latency.p50:.1f} | {latency.p99:.1f} |"


async def _run(client: Client, plan: Plan) -> MissionHandle:
    mission = await client.submit("a measurement", plan=plan, timeout_s=_WAIT_S)
    outcome = await mission.outcome(timeout_s=_WAIT_S)
    if outcome.status != "completed":
        raise NotTheSameWork(f"the mission {outcome.status}", hint=str(outcome.failure))
    return mission


async def _gaps(client: Client, plan: Plan) -> tuple[float, list[float]]:
    """Seconds for all of it, and from each report to the claim of what follows from it."""
    begin = time.perf_counter()
    mission = await _run(client, plan)
    took = time.perf_counter() - begin
    ended: dict[tuple[str, int], float] = {}
    gaps: list[float] = []
    async for event in mission.events(follow=False):
        if event.type not in (AttemptStarted.TYPE, AttemptFinished.TYPE):
            continue
        payload, at = parse(event), moment_of(event).timestamp()
        match payload:
            case AttemptFinished():
                ended[payload.task, payload.attempt] = at
            case AttemptStarted():
                before = (payload.task, payload.attempt - 1), (payload.task.replace("b", "a"), payload.attempt)
                gaps += [at - ended[key] for key in before if key in ended][:1]
    return took, gaps


async def _asked(client: Client, requests: int) -> list[float]:
    plan = Plan(tasks=(TaskSpec(id="ask", skill="bench-ask", inputs={"times": requests}, timeout_s=_WAIT_S),))
    view = await (await _run(client, plan)).view()
    took: list[float] = view.tasks[0].output["took"]
    return took


async def _raw(side: Ours, requests: int) -> list[float]:
    url = nats_url(side.settings)
    child = multiprocessing.get_context("spawn").Process(target=_echo, args=(url,), daemon=True)
    child.start()
    nc = await connect(url, name="raw-asker")
    try:
        took: list[float] = []
        async with asyncio.timeout(_WAIT_S):
            while not await _heard(nc.request(_RAW, b"?", timeout=0.5)):
                await asyncio.sleep(0.05)
        for _ in range(requests):
            begin = time.perf_counter()
            await nc.request(_RAW, b'{"n":1}', timeout=5)
            took.append(time.perf_counter() - begin)
        return took
    finally:
        await nc.close()
        child.terminate()
        child.join(5)


async def _heard(answer: object) -> bool:
    from nats.errors import NoRespondersError

    try:
        await answer  # type: ignore[misc]
    except (NoRespondersError, TimeoutError):
        return False
    return True


def _echo(url: str) -> None:
    async def serve() -> None:
        nc = await connect(url, name="raw-echo")

        async def answer(msg: Msg) -> None:
            await msg.respond(msg.data)

        await nc.subscribe(_RAW, cb=answer)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    raise SystemExit(main())
