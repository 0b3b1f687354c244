"""How fast an emergency stop reaches a fleet: ``python -m benchmarks.reflex``.

Each worker is a real bus (its own connection and thread) with a real watch, and has one attempt in hand that polls its
flag as agents do. The time is from the moment the stop is handed to the client's connection until the last attempt has
ended, on one clock. A tenant a round, because a stop that was heard holds for a while. All share one machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec

from events.jetstream import connect, ensure_streams
from events.signals import NatsSignals
from schemas.errors import Stopped
from schemas.signals import STOPS, Acknowledgement, Running, Stop, acknowledged_subject, reflex_subject
from stigmergy.local.ephemeral import nats_server
from workers.bus import WorkerBus
from workers.stopping import StopFlag
from workers.watch import Watch

_WAIT_S = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table. Returns 0 if the slowest round kept within the limit."""
    parser = argparse.ArgumentParser(prog="benchmarks.reflex")
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit-ms", type=float, default=200.0)
    options = parser.parse_args(argv)
    each = max(1, options.workers // options.processes)
    with tempfile.TemporaryDirectory(prefix="stig-reflex-") as folder, nats_server(Path(folder)) as nats:
        url = nats.url if isinstance(nats.url, str) else nats.url.get_secret_value()
        asyncio.run(_prepare(url))
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(options.processes + 1)
        children = [
            context.Process(target=_workers, args=(url, number, each, options.rounds, barrier), daemon=True)
            for number in range(options.processes)
        ]
        for child in children:
            child.start()
        rounds = asyncio.run(_measure(url, each * options.processes, options.rounds, barrier))
        for child in children:
            child.join(_WAIT_S)
    print(f"{each * options.processes} workers in {options.processes} processes, {options.rounds} rounds, milliseconds")
    print("| | median | slowest |")
    print("| --- | --- | --- |")
    for label, column in (("all workers answered", 0), ("all attempts ended", 1)):
        values = sorted(one[column] for one in rounds)
        print(f"| {label} | {values[len(values) // 2]:.1f} | {values[-1]:.1f} |")
    return 0 if max(ended for _, ended in rounds) < options.limit_ms else 1


async def _prepare(url: str) -> None:
    nc = await connect(url, name="reflex-prepare")
    await ensure_streams(nc, replicas=1, migrate=True)
    await nc.close()


async def _measure(url: str, workers: int, rounds: int, barrier: Barrier) -> list[tuple[float, float]]:
    nc = await connect(url, name="reflex")
    signals, found = NatsSignals(nc), []
    loop = asyncio.get_running_loop()
    for number in range(rounds):
        stop = Stop(tenant=f"t{number}", reason="a drill", id=f"stop-{number}", forgiven=True)
        heard: set[str] = set()
        ended: set[str] = set()
        times = [0.0, 0.0]
        done = asyncio.Event()

        def word(raw: bytes, heard: set[str] = heard, ended: set[str] = ended, times: list[float] = times) -> None:
            said = msgspec.json.decode(raw, type=Acknowledgement)
            (ended if said.ended else heard).add(said.worker)
            times[said.ended] = time.perf_counter()
            if len(heard) == len(ended) == workers:
                loop.call_soon(done.set)  # noqa: B023 - awaited before the next round begins

        await signals.listen(acknowledged_subject(stop.id), word)
        await nc.flush()
        await asyncio.to_thread(barrier.wait, _WAIT_S)  # every worker has an attempt in hand
        begin = time.perf_counter()
        await signals.send(reflex_subject(stop), msgspec.json.encode(stop))
        async with asyncio.timeout(_WAIT_S):
            await done.wait()
        found.append(((times[0] - begin) * 1e3, (times[1] - begin) * 1e3))
    await nc.close()
    return found


def _workers(url: str, process: int, count: int, rounds: int, barrier: Barrier) -> None:
    inside = threading.Barrier(count + 1)
    threads = [
        threading.Thread(target=_worker, args=(url, f"w{process}-{number}", rounds, inside), daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        inside.wait(_WAIT_S)
        barrier.wait(_WAIT_S)
    for thread in threads:
        thread.join(_WAIT_S)


def _worker(url: str, name: str, rounds: int, inside: threading.Barrier) -> None:
    bus = WorkerBus(url, name)
    watch = Watch(
        may_exit=False, worker=name, acknowledge=lambda stop, w: bus.send(acknowledged_subject(stop), _encode(w))
    )
    bus.listen(STOPS, watch.hear)
    bus.read(("events.*._.reflex.>",))  # as a worker does when it joins; afterwards the server surely knows who listens
    for number in range(rounds):
        attempt, flag = Running(f"t{number}", "m", name, 1), StopFlag()

        def work(flag: StopFlag = flag) -> dict[str, object]:
            inside.wait(_WAIT_S)
            while True:  # as a sandbox and an agent do: look, wait a little, look again
                flag.check()
                time.sleep(0.05)

        with watch.holding([attempt], "a"), suppress(Stopped):
            watch.run(attempt, flag, _WAIT_S, work)
    bus.close()


_encode = msgspec.json.Encoder().encode

if __name__ == "__main__":
    raise SystemExit(main())
