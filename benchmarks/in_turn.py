"""A worker, the manager and Redis killed in turn, within one mission: ``python -m benchmarks.in_turn``.

200 tasks of 50 ms on 4 workers, real servers and processes. When a quarter is done one worker process is killed with
SIGKILL, at half the processes with the roles (Celery has none; they are started again, as a supervisor would), at three
quarters the Redis server, which comes back with its append-only file. Each round runs ours undisturbed, ours, and bare
Celery with late acknowledgements: with its defaults, under which the main process acknowledges what a killed child had
in hand, and with ``task_reject_on_worker_lost``, a visibility timeout of 5 seconds and its queue looked at each second.
Reported: medians over rounds, and the worst counts.

The delay of a death is the time from the kill to the second begin of what the dead worker had in hand.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.deaths import SLEEP_S, WORKERS, celery_pool, child_of, restart
from benchmarks.processes import module
from benchmarks.servers import servers
from schemas.envelope import Event, moment_of
from schemas.plan import Plan, TaskSpec
from stigmergy import Client, MissionHandle, Settings

_TUNED_S, _DEFAULT_S = 5, 3600

type Turn = Callable[[Event], object]
"""Kills something when an attempt has just begun."""


@dataclass(frozen=True)
class Round:
    """What came of one mission; ``took_s`` and ``delay_s`` are None if the end, or the second begin, did not come.

    Attributes:
        lost: tasks that were not done in the time they were given.
        counted_twice: tasks whose success counted more than once.
        executed_twice: tasks whose work began more than once.
        delay_s: from the death of the worker to the second begin of what it had in hand; 0 if it had nothing.
    """

    lost: int
    counted_twice: int
    executed_twice: int
    took_s: float | None
    delay_s: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, print a table. Returns 1 if a task of ours was lost or counted twice, or was late by 5 s or more."""
    parser = argparse.ArgumentParser(prog="benchmarks.in_turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for the last task")
    parser.add_argument("--only", choices=("ours", "celery"))
    options = parser.parse_args(argv)
    sides: dict[str, Callable[[Path], Round]] = {}
    if options.only != "celery":
        sides["ours, undisturbed"] = lambda at: _ours(at, options.tasks, options.wait, kills=False)
        sides["ours, three kills in turn"] = lambda at: _ours(at, options.tasks, options.wait, kills=True)
    if options.only != "ours":
        sides["Celery, late acks, two kills"] = lambda at: _celery(at, options.tasks, options.wait, _DEFAULT_S)
        tuned = f"Celery, late acks, reject on worker lost, visibility {_TUNED_S} s, two kills"
        sides[tuned] = lambda at: _celery(at, options.tasks, options.wait, _TUNED_S)
    rounds: dict[str, list[Round]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="stig-turn-") as folder:
        for number in range(options.rounds):
            for place, (side, run) in enumerate(sides.items()):
                at = Path(folder) / f"{number}-{place}"
                at.mkdir()
                rounds[side].append(run(at))
                print(f"round {number + 1}, {side}: {rounds[side][-1]}", file=sys.stderr, flush=True)
    print(f"{options.tasks} tasks of {SLEEP_S * 1e3:.0f} ms on {WORKERS} workers; {options.rounds} rounds")
    print("| | lost, most | counted twice, most | executed twice, most | whole mission | delay by the worker's death |")
    print("| --- | --- | --- | --- | --- | --- |")
    for side, them in rounds.items():
        print(_row(side, them, options.wait))
    ours = [one for side, them in rounds.items() if side.startswith("ours") for one in them]
    return 1 if any(one.lost or one.counted_twice or one.delay_s is None or one.delay_s >= 5 for one in ours) else 0


def _row(side: str, rounds: list[Round], wait_s: float) -> str:
    lost, counted, executed = (
        max(getattr(one, name) for one in rounds) for name in ("lost", "counted_twice", "executed_twice")
    )
    took, delay = (_median([getattr(one, name) for one in rounds], wait_s) for name in ("took_s", "delay_s"))
    return f"| {side} | {lost} | {counted} | {executed} | {took} | {delay} |"


def _median(values: list[float | None], wait_s: float) -> str:
    ended = [value for value in values if value is not None]
    if len(ended) < len(values):
        return f"not within {wait_s:g} s in {len(values) - len(ended)} of {len(values)}"
    return f"{statistics.median(ended):.1f} s ({min(ended):.1f}–{max(ended):.1f})"


# ours


def _ours(place: Path, tasks: int, wait_s: float, *, kills: bool) -> Round:
    with ExitStack() as stack:
        up = stack.enter_context(servers(place))
        arguments = ("roles", "orchestrator", "task-queue")
        roles = stack.enter_context(module("benchmarks.hosting", arguments, up.env, place))
        stack.enter_context(module("benchmarks.hosting", ("workers", str(WORKERS)), up.env, place))

        def kill_worker(started: Event) -> None:
            os.kill(int(_data(started)["worker"].split("-")[-2]), signal.SIGKILL)

        def replace_roles(_: Event) -> None:
            os.kill(roles, signal.SIGKILL)
            (place / "again").mkdir()
            stack.enter_context(module("benchmarks.hosting", arguments, up.env, place / "again"))

        turns: tuple[Turn, ...] = (kill_worker, replace_roles, lambda _: restart(up.valkey))
        return asyncio.run(_mission(up.settings, tasks, wait_s, turns if kills else ()))


async def _mission(settings: Settings, tasks: int, wait_s: float, turns: Sequence[Turn]) -> Round:
    plan = Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": SLEEP_S}) for n in range(tasks)))
    async with Client(settings) as client:
        async with asyncio.timeout(wait_s):
            while len(await client.workers()) < WORKERS:
                await asyncio.sleep(0.05)
        began = time.monotonic()
        mission = await client.submit("in turn", plan=plan)
        try:
            async with asyncio.timeout(wait_s):
                killed_at = await _kill_in_turn(mission, tasks, turns)
                await mission.outcome(timeout_s=wait_s)
            took_s = time.monotonic() - began
        except TimeoutError:
            killed_at, took_s = 0.0, None
        events = [event async for event in mission.events(follow=False)]
    done = Counter(event.subject for event in events if event.type == "task.succeeded")
    begun = Counter(event.subject for event in events if event.type == "attempt.started")
    twice = sum(count > 1 for count in begun.values())
    doubled = sum(count > 1 for count in done.values())
    return Round(tasks - len(done), doubled, twice, took_s, _delay_s(events, killed_at))


async def _kill_in_turn(mission: MissionHandle, tasks: int, turns: Sequence[Turn]) -> float:
    """Kill at a quarter, at half, at three quarters, each as soon as an attempt has begun there.

    Returns when the first was killed, in seconds since 1970.

    All in this thread, though it stands still meanwhile: what it starts ends with the thread that started it.
    """
    killed_at, succeeded, left = 0.0, 0, list(enumerate(turns, start=1))
    async with aclosing(mission.events()) as events:
        async for event in events:
            succeeded += event.type == "task.succeeded"
            if left and succeeded >= tasks * left[0][0] // 4 and event.type == "attempt.started":
                killed_at = killed_at or time.time()
                left.pop(0)[1](event)
            if not left:
                break
    return killed_at


def _delay_s(events: list[Event], killed_at: float) -> float | None:
    """From the kill to the second begin of what the dead worker had in hand."""
    lost = [event for event in events if event.type == "action.expired" and _data(event).get("worker")]
    delays: list[float] = []
    for one in lost:
        again = [e for e in events if e.type == "attempt.started" and e.subject == one.subject]
        later = [e for e in again if _data(e)["attempt"] > _data(one)["attempt"]]
        if not later:
            return None
        delays.append(moment_of(later[0]).timestamp() - killed_at)
    return max(delays, default=0.0)


def _data(event: Event) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(event.data)
    return decoded


# Celery


def _celery(place: Path, tasks: int, wait_s: float, visibility_s: int) -> Round:
    with celery_pool(place, visibility_s) as pool:
        began = time.monotonic()
        for number in range(tasks):
            pool.app.send_task("bench.nap", (f"t{number}",))
        deadline = began + wait_s
        _await_share(pool.record, tasks // 4, deadline)
        dead, killed_at = _busy(pool.record, deadline) or child_of(pool.main), time.monotonic()
        os.kill(dead, signal.SIGKILL)
        _await_share(pool.record, tasks * 3 // 4, deadline)
        restart(pool.valkey)
        in_time = _await_share(pool.record, tasks, deadline)
        took_s = time.monotonic() - began if in_time else None
    return _of_record(_lines(pool.record), tasks, dead, killed_at, took_s)


def _busy(record: Path, deadline: float) -> int | None:
    """A worker process that has just begun a task."""
    seen = len(_lines(record))
    while time.monotonic() < deadline:
        for word, _, pid, _ in _lines(record)[seen:]:
            if word == "began":
                return int(pid)
    return None


def _lines(record: Path) -> list[list[str]]:
    return [line.split() for line in record.read_text(encoding="utf-8").splitlines() if line.count(" ") == 3]


def _await_share(record: Path, count: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        if len({task for word, task, *_ in _lines(record) if word == "ended"}) >= count:
            return True
        time.sleep(0.02)
    return False


def _of_record(lines: list[list[str]], tasks: int, dead: int, killed_at: float, took_s: float | None) -> Round:
    done = Counter(task for word, task, *_ in lines if word == "ended")
    begun = Counter(task for word, task, *_ in lines if word == "began")
    ended_by = {(task, pid) for word, task, pid, _ in lines if word == "ended"}
    in_hand = {
        task for word, task, pid, _ in lines if word == "began" and pid == str(dead) and (task, pid) not in ended_by
    }
    delays: list[float | None] = [0.0]
    for task in in_hand:
        later = [float(at) for word, other, pid, at in lines if (word, other) == ("began", task) and pid != str(dead)]
        delays.append(min(later) - killed_at if later else None)
    delay_s = None if None in delays else max(delay for delay in delays if delay is not None)
    twice = sum(count > 1 for count in begun.values())
    doubled = sum(count > 1 for count in done.values())
    return Round(tasks - len(done), doubled, twice, took_s, delay_s)


if __name__ == "__main__":
    sys.exit(main())
