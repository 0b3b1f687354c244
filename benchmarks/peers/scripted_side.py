"""A peer as a side: its driver runs in its own environment and is told rounds by a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.measuring import SETTLE_S, CpuMeter, Latency, Round
from benchmarks.peers.homes import Peer, Place, python_of
from benchmarks.peers.rounds import RECORD
from benchmarks.processes import ROOT
from benchmarks.shapes import Shape
from benchmarks.verifying import Execution, check
from schemas.errors import TimedOut, Unavailable
from stigmergy.local.leash import leashed
from stigmergy.local.tail import tail


class ScriptedSide:
    """Runs shapes on a peer that is up."""

    def __init__(self, peer: Peer, driver: subprocess.Popen[str], place: Place, record: Path) -> None:
        self.name = peer.name
        self._driver, self._record, self._log = driver, record, place.folder / "driver.log"
        self._meter = CpuMeter({"driver": driver.pid, **place.roots}, children_may_end=True)

    def run(self, shape: Shape, timeout_s: float) -> Round:
        """Play the shape once, verified. Raises NotTheSameWork, Unavailable."""
        run = uuid.uuid4().hex
        self._meter.start()
        seconds = float(self._ask({"run": run, "needs": shape.needs})["seconds"])
        time.sleep(SETTLE_S)
        cpu_s = self._meter.spent()
        executions = self._executions(run)
        check(self.name, shape, executions)
        return Round(
            tasks=len(shape),
            executions=len(executions),
            submit_s=0.0,
            seconds=seconds,
            cpu_s=cpu_s,
            dispatch=None,
            step=_steps_of(executions) if shape.kind == "chain" else None,
            ended=self._meter.ended,
        )

    def _ask(self, words: dict[str, object]) -> dict[str, float]:
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps(words) + "\n")
        self._driver.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, float]:
        """The next line of the driver. Raises :class:`Unavailable` with its log if it ends instead."""
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        if not line:
            raise Unavailable(f"{self.name} has ended: {tail(self._log, 30)}", hint="see its log above")
        told: dict[str, float] = json.loads(line)
        return told

    def _executions(self, run: str) -> list[Execution]:
        found = []
        for line in self._record.read_text(encoding="utf-8").splitlines():
            of, task, published, started, ended = line.split(" ")
            if of == run:
                start_s = int(started) / 1e9
                found.append(
                    Execution(task, int(published) / 1e9, start_s, start_s, (int(started), 0), (int(ended), 0))
                )
        return found


def _steps_of(executions: Sequence[Execution]) -> Latency | None:
    starts = sorted(one.started_s for one in executions)
    return Latency.of(after - before for before, after in pairwise(starts))


@contextmanager
def scripted_side(peer: Peer, folder: Path) -> Iterator[ScriptedSide]:
    """The peer's servers and driver below ``folder``. Raises ToolMissing, Unavailable."""
    folder.mkdir()
    record = folder / "executions.txt"
    record.touch()
    python = python_of(peer)
    with ExitStack() as stack:
        place = Place(folder, stack)
        for start in peer.servers:
            start(place)
        env = {**os.environ, **place.env, RECORD: str(record), "BENCH_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
        command = leashed((str(python), "-m", f"benchmarks.peers.{peer.module}"))
        with (folder / "driver.log").open("wb") as log:
            driver = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        stack.callback(_end, driver)
        side = ScriptedSide(peer, driver, place, record)
        side.hear()
        yield side


def _end(driver: subprocess.Popen[str]) -> None:
    assert driver.stdin is not None
    driver.stdin.close()
    try:
        driver.wait(20)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
        raise TimedOut("a driver did not end", hint="it was killed") from None
