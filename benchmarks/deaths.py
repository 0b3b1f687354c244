"""Deaths in the middle of work: ``python -m benchmarks.deaths``.

200 tasks of 50 ms on 4 workers, real servers and processes. In the middle one thing is killed with SIGKILL and started
again where nobody else would: one worker process, the processes with the roles (ours only: Celery has none), the Redis
server (with its append-only file). For each: how many tasks finished, how many were counted twice, how many began
twice, and when the last one ended after the kill.

Celery runs late acknowledgements. With its defaults its main process acknowledges what a killed child had in hand, as
failed, so the task is lost for good and no visibility timeout brings it back: ``task_reject_on_worker_lost`` is for
that. What is lost with the main process comes back after the visibility timeout of an hour. So Celery is also shown
with rejection, a visibility timeout of 5 seconds and its queue looked at every second, all of which it leaves to the
user. The last takes two settings: ``unacked_restore_interval`` alone still looks only every tenth time
(``unacked_restore_throttle``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from celery import Celery
from celery.signals import worker_ready

from benchmarks.processes import module
from benchmarks.servers import servers
from schemas.plan import Plan, TaskSpec
from stigmergy import Client, Settings
from stigmergy.local import report_ready
from stigmergy.local.ephemeral import ThrowAwayServer, valkey_server

TASKS, SLEEP_S, WORKERS = 200, 0.05, 4
KILL_AFTER_S = 1.0
URL, RECORD, VISIBILITY = "BENCH_REDIS_URL", "BENCH_RECORD", "BENCH_VISIBILITY"


@dataclass(frozen=True)
class Outcome:
    """What came of one run; ``last_s`` after the kill, None if not all finished in the time they were given."""

    side: str
    killed: str
    finished: int
    doubled: int
    begun_twice: int
    last_s: float | None

    def row(self) -> str:
        last = "never" if self.last_s is None else f"{self.last_s:.1f} s"
        return f"| {self.side} | {self.killed} | {self.finished} | {self.doubled} | {self.begun_twice} | {last} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print a table. Returns 1 if a task of ours was lost or counted twice."""
    parser = argparse.ArgumentParser(prog="benchmarks.deaths")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for the last task")
    parser.add_argument("--only", choices=("ours", "celery"))
    options = parser.parse_args(argv)
    outcomes: list[Outcome] = []
    print(f"{TASKS} tasks of {SLEEP_S * 1e3:.0f} ms on {WORKERS} workers; killed after {KILL_AFTER_S:g} s")
    print("| | killed | finished | counted twice | begun twice | last one after the kill |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="stig-deaths-") as folder:
        runs: list[Callable[[], Outcome]] = []
        if options.only != "celery":
            runs += [lambda what=what: _ours(Path(folder), what, options.wait) for what in _OURS]  # type: ignore[misc]
        if options.only != "ours":
            for visibility in (3600, 5):
                runs += [
                    lambda what=what, seconds=visibility: _celery(Path(folder), what, seconds, options.wait)  # type: ignore[misc]
                    for what in ("one worker", "Redis")
                ]
        for run in runs:
            outcomes.append(run())
            print(outcomes[-1].row(), flush=True)
    ours = [one for one in outcomes if one.side == "ours"]
    return 1 if any(one.finished != TASKS or one.doubled for one in ours) else 0


_OURS = ("nothing", "one worker", "the roles", "Redis")


def _ours(folder: Path, what: str, wait_s: float) -> Outcome:
    place = folder / f"ours-{what.replace(' ', '-')}"
    place.mkdir()
    with ExitStack() as stack:
        up = stack.enter_context(servers(place))
        arguments = ("roles", "orchestrator", "task-queue")
        roles = stack.enter_context(module("benchmarks.hosting", arguments, up.env, place))
        pool = stack.enter_context(module("benchmarks.hosting", ("workers", str(WORKERS)), up.env, place))

        def kill() -> None:
            if what == "one worker":
                os.kill(child_of(pool), signal.SIGKILL)
            elif what == "the roles":
                os.kill(roles, signal.SIGKILL)
                (place / "again").mkdir()
                stack.enter_context(module("benchmarks.hosting", arguments, up.env, place / "again"))
            elif what == "Redis":
                restart(up.valkey)

        return asyncio.run(_mission(up.settings, what, kill, wait_s))


async def _mission(settings: Settings, what: str, kill: Callable[[], None], wait_s: float) -> Outcome:
    tasks = tuple(TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": SLEEP_S}) for n in range(TASKS))
    async with Client(settings) as client:
        while len(await client.workers()) < WORKERS:
            pass
        mission = await client.submit("deaths", plan=Plan(tasks=tasks))
        await asyncio.sleep(KILL_AFTER_S)
        killed = time.monotonic()
        kill()
        last: float | None = None
        try:
            outcome = await mission.outcome(timeout_s=wait_s)
            last = time.monotonic() - killed if outcome.status == "completed" else None
        except Exception as error:  # noqa: BLE001 - an end that does not come is a result here
            print(f"ours, {what}: {error}", file=sys.stderr)
        done: Counter[str | None] = Counter()
        begun: Counter[str | None] = Counter()
        async for event in mission.events(follow=False):
            done[event.subject] += event.type == "task.succeeded"
            begun[event.subject] += event.type == "attempt.started"
    return _outcome("ours", what, done, begun, last)


@dataclass(frozen=True)
class CeleryPool:
    """``main``: process id of the pool. ``record``: where its tasks write what they did."""

    valkey: ThrowAwayServer
    main: int
    app: Celery
    record: Path


@contextmanager
def celery_pool(place: Path, visibility_s: int) -> Iterator[CeleryPool]:
    """Celery's side below ``place``, which takes tasks."""
    record = place / "record.txt"
    record.touch()
    with valkey_server(place / "servers") as valkey:
        env = {**os.environ, URL: valkey.url, RECORD: str(record), VISIBILITY: str(visibility_s)}
        with module("benchmarks.deaths", ("--worker",), env, place) as main:
            app = make_app(valkey.url, visibility_s)
            yield CeleryPool(valkey, main, app, record)
            app.close()


def _celery(folder: Path, what: str, visibility_s: int, wait_s: float) -> Outcome:
    side = "Celery, late acks" + (
        "" if visibility_s == 3600 else f", reject on worker lost, visibility {visibility_s} s, restored every second"
    )
    place = folder / f"celery-{visibility_s}-{what.replace(' ', '-')}"
    place.mkdir()
    with celery_pool(place, visibility_s) as pool:
        for number in range(TASKS):
            pool.app.send_task("bench.nap", (f"t{number}",))
        time.sleep(KILL_AFTER_S)
        killed = time.monotonic()
        if what == "one worker":
            os.kill(child_of(pool.main), signal.SIGKILL)
        else:
            restart(pool.valkey)
        last = _await_record(pool.record, killed, wait_s)
    lines = [line.split() for line in pool.record.read_text(encoding="utf-8").splitlines()]
    done = Counter(task for word, task, *_ in lines if word == "ended")
    begun = Counter(task for word, task, *_ in lines if word == "began")
    return _outcome(side, what, done, begun, last)


def _await_record(record: Path, killed: float, wait_s: float) -> float | None:
    while time.monotonic() - killed < wait_s:
        lines = record.read_text(encoding="utf-8").splitlines()
        if len({line.split()[1] for line in lines if line.startswith("ended")}) >= TASKS:
            return time.monotonic() - killed
        time.sleep(0.05)
    return None


def _outcome(
    side: str, what: str, done: Counter[str | None] | Counter[str], begun: Counter[str | None] | Counter[str],
    last: float | None,
) -> Outcome:  # fmt: skip
    finished = [count for count in done.values() if count]
    twice = sum(count > 1 for count in begun.values())
    return Outcome(side, what, len(finished), sum(count > 1 for count in finished), twice, last)


def child_of(pool: int) -> int:
    """The worker process that was started first. The witness beside our pools is none."""
    below = psutil.Process(pool).children(recursive=True)
    children = [one for one in below if not one.children() and "workers.witness" not in one.cmdline()]
    return min(children, key=lambda one: one.create_time()).pid


def restart(server: ThrowAwayServer) -> None:
    server.kill()
    server.start()


def make_app(url: str, visibility_s: int) -> Celery:
    """Celery with late acknowledgements, and how soon it takes back what nobody acknowledged."""
    app = Celery("deaths", broker=url, set_as_current=False)
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_ignore_result=True)
    app.conf.update(broker_connection_retry_on_startup=True)
    if visibility_s != 3600:
        options = {"visibility_timeout": visibility_s, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
        app.conf.update(broker_transport_options=options, task_reject_on_worker_lost=True)

    def nap(task: str) -> None:
        with Path(os.environ[RECORD]).open("a", encoding="utf-8", buffering=1) as record:
            record.write(f"began {task} {os.getpid()} {time.monotonic()}\n")
            time.sleep(SLEEP_S)
            record.write(f"ended {task} {os.getpid()} {time.monotonic()}\n")

    app.task(name="bench.nap")(nap)
    return app


def _worker() -> int:
    def ready(**_: object) -> None:
        report_ready()

    worker_ready.connect(ready, weak=False)
    app = make_app(os.environ[URL], int(os.environ[VISIBILITY]))
    try:
        app.worker_main(["worker", f"--concurrency={WORKERS}", "--pool=prefork", "--loglevel=WARNING"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    raise SystemExit(_worker() if sys.argv[1:] == ["--worker"] else main())
