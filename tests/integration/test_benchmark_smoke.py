"""The benchmark of the whole path: it measures both sides, believes neither, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.field import notes
from benchmarks.measuring import CpuMeter, Latency, Round
from benchmarks.shapes import JOIN, all_shapes, chain, fan_out_join, layered
from benchmarks.summary import ratios, report, surroundings
from benchmarks.tables import markdown
from benchmarks.verifying import Execution, NotTheSameWork, check
from schemas.errors import ToolMissing, Unavailable

ROOT = Path(__file__).resolve().parents[2]
SIZES = ["--rounds", "1", "--fan-out", "20", "--chain", "5", "--layers", "2", "--width", "3"]
SHAPES = {"fan-out": 20, "fan-out-join": 21, "chain": 5, "layers-2": 6, "layers-all": 6}


def benchmark(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.orchestration", *SIZES, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(running: subprocess.Popen[str]) -> str:
    try:
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
    _needs_its_tools(err)
    assert running.returncode == 0, err
    return out


def _needs_its_tools(err: str) -> None:
    if ToolMissing.code in err and os.environ.get("CI") != "true":
        pytest.skip(err)


def test_both_sides_run_every_shape_exactly_once() -> None:
    found: dict[str, Any] = json.loads(finished(benchmark("--json", "--warm-ups", "0")))
    assert {name: shape["sides"]["ours"]["tasks"] for name, shape in found["shapes"].items()} == SHAPES
    for name, shape in found["shapes"].items():
        for side in ("ours", "celery"):
            assert shape["sides"][side]["executions"] == [SHAPES[name]]
        assert {"tasks_per_s", "cpu_ms", "dispatch_p50"} <= shape["ratios"].keys()
    assert set(found["shapes"]["chain"]["ratios"]) >= {"begin_p50", "step_p50"}
    parts = found["shapes"]["chain"]["sides"]["ours"]["parts_ms"]
    assert set(parts) == {"roles", "workers", "nats", "valkey", "submitter"}
    assert {"command", "date", "cores", "versions", "rounds"} <= found["about"].keys()


def test_the_field_is_measured_with_the_same_judge() -> None:
    command = [sys.executable, "-m", "benchmarks.field", *SIZES, "--only", "ours,celery", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    _needs_its_tools(done.stderr)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(done.stdout)["rounds"]
    assert {shape: set(sides) for shape, sides in rounds.items()} == {
        shape: {"ours", "celery"} for shape in ("fan-out", "fan-out-join", "chain", "layers-2")
    }
    assert all(one["tasks_per_s"] > 0 for sides in rounds.values() for runs in sides.values() for one in runs)


def test_a_side_that_is_not_there_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks.field", "--only", "ours,airflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "there is no side 'airflow'" in done.stderr


def test_nothing_is_left_when_it_is_interrupted(tmp_path: Path) -> None:
    """In the middle of a round, with roles apart and profiled, for which they have to end in good order."""
    running = benchmark("--only", "ours", "--rounds", "1000", "--split-roles", "--profile", str(tmp_path))
    assert running.stderr is not None
    try:
        first = running.stderr.readline()
        tree = psutil.Process(running.pid).children(recursive=True) if "warm-up" in first else []
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    _needs_its_tools(first + err)
    assert running.returncode == 130, first + err
    assert len(tree) >= 7, "two servers, roles, a pool of two"
    assert [process for process in tree if process.is_running()] == []
    assert {path.stem for path in tmp_path.iterdir()} == {"orchestrator", "task-queue"}


def made_up(seconds: float, parts: tuple[str, ...]) -> Round:
    return Round(10, 10, 0.01, seconds, dict.fromkeys(parts, 0.02), Latency(1.0, 2.0, 3.0))


def test_the_report_has_medians_and_ratios() -> None:
    shape = chain(10)
    ours = [made_up(seconds, ("roles", "submitter")) for seconds in (0.5, 1.0, 4.0)]
    celery = [made_up(2.0, ("workers",))]
    about = {**surroundings(), "command": "a command", "rounds": 3, "warm_ups": 1, "concurrency": 2, "profiled": True}
    found = report([shape], {shape.name: {"ours": ours, "celery": celery}}, about)
    assert ratios(found.results[shape.name]) == {"tasks_per_s": 2.0, "cpu_ms": 2.0, "dispatch_p50": 1.0}
    text = markdown(found)
    assert "| chain of 10 | 10 (2–20) | 5 (5–5) | 2.00× | 4.00 | 2.00 | 2.00× |" in text
    assert "| chain of 10: ready → a worker has it | 1.0 / 2.0 / 3.0 | 1.0 / 2.0 / 3.0 | 1.00× |" in text
    assert "| shape | roles | submitter | all |" in text
    assert "`a command`" in text
    assert "times are not comparable" in text


def test_one_side_alone_has_no_ratios() -> None:
    shape = chain(10)
    about = {**surroundings(), "command": "a command", "rounds": 1, "warm_ups": 1, "concurrency": 2, "profiled": False}
    found = report([shape], {shape.name: {"celery": [made_up(2.0, ("workers",))]}}, about)
    assert found.as_json()["shapes"]["chain"]["ratios"] == {}
    assert "| chain of 10 | – | 5 (5–5) | – | – | 2.00 | – |" in markdown(found)


def test_shapes_are_graphs_in_order() -> None:
    for shape in all_shapes(fan=7, length=5, layers=3, width=4):
        seen: set[str] = set()
        for task, needs in shape.needs.items():
            assert set(needs) <= seen
            seen.add(task)
        assert sum(map(len, shape.dependents.values())) == sum(map(len, shape.needs.values()))
    assert len(fan_out_join(3).needs[JOIN]) == 3
    assert {len(needs) for needs in layered(3, 4, 2).needs.values()} == {0, 2}
    assert layered(2, 1, 2).needs["t1-0"] == ("t0-0",)


def executions(*tasks: str) -> list[Execution]:
    return [Execution(task, 0.0, 0.0, 0.0, (2 * at, 0), (2 * at + 1, 0)) for at, task in enumerate(tasks)]


def test_the_judge_accepts_what_is_right() -> None:
    check("a side", chain(3), executions("t0", "t1", "t2"))


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        (("t0", "t1"), "t2 ran 0 times"),
        (("t0", "t1", "t1", "t2"), "t1 ran 2 times"),
        (("t0", "t2", "t1"), "t2 began before t1 had ended"),
        (("t0", "t1", "t2", "t3"), "t3 ran, and is not part of it"),
    ],
)
def test_the_judge_refuses_what_is_wrong(ran: tuple[str, ...], why: str) -> None:
    with pytest.raises(NotTheSameWork, match=why):
        check("a side", chain(3), executions(*ran))


def test_percentiles_go_by_nearest_rank() -> None:
    assert Latency.of(n / 1000 for n in range(1, 101)) == Latency(50.0, 95.0, 99.0)
    assert Latency.of([0.002]) == Latency(2.0, 2.0, 2.0)
    assert Latency.of([]) is None


def test_a_process_that_ends_spoils_the_measurement() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        meter = CpuMeter({"child": child.pid})
        meter.start()
        assert set(meter.spent()) == {"child", "submitter"}
        child.kill()
        child.wait()
        with pytest.raises(Unavailable, match="of child ended"):
            meter.spent()


BURN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
WORKS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print('done', flush=True); input()"
WAITS = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()']); print(child.pid, flush=True)"
)


@contextmanager
def started(code: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that prints the id of its worker first."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as root:  # type: ignore[call-overload]
        try:
            yield root, int(line_of(root))
        finally:
            root.kill()


def line_of(root: subprocess.Popen[str]) -> str:
    assert root.stdout is not None
    return root.stdout.readline().strip()


def test_what_a_worker_of_a_peer_used_counts_when_it_has_ended() -> None:
    with started(f"{WAITS}; child.wait(); print('waited', flush=True); {WORKS}") as (root, worker):
        meter = CpuMeter({"peer": root.pid}, children_may_end=True)
        before = psutil.Process(worker).cpu_times()
        meter.start()
        psutil.Process(worker).kill()
        assert line_of(root) == "waited"
        assert line_of(root) == "done"  # another came and went meanwhile
        spent = meter.spent()["peer"]
        assert 0.3 <= spent < 0.3 + before.user + before.system + 1.0
        assert len(meter.ended) == 1
        meter.start()
        assert meter.spent()["peer"] < 0.1
        assert meter.ended == ()


def test_a_peer_that_ends_has_failed() -> None:
    with started(f"{WAITS}; input()") as (root, worker):
        meter = CpuMeter({"peer": root.pid}, children_may_end=True)
        meter.start()
        root.kill()
        root.wait()
        with pytest.raises(Unavailable, match="of peer ended"):
            meter.spent()
        psutil.Process(worker).kill()


def test_a_worker_whose_parent_has_gone_cannot_be_counted() -> None:
    between = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {WAITS + '; input()'!r}]).wait(); input()"
    )
    with started(between) as (root, worker):
        meter = CpuMeter({"peer": root.pid}, children_may_end=True)
        meter.start()
        parent = psutil.Process(worker).parent()
        assert parent is not None
        parent.kill()
        psutil.Process(worker).kill()
        psutil.wait_procs([parent], timeout=5)
        with pytest.raises(Unavailable, match="of peer ended"):
            meter.spent()


def test_the_report_says_whose_processes_ended() -> None:
    shape = chain(3)
    plain = Round(3, 3, 0.0, 1.0, {"driver": 0.3}, None)
    found = {shape.name: {"taskiq": [plain, replace(plain, ended=("taskiq", "taskiq"))], "dramatiq": [plain]}}
    (note,) = notes([shape], found)
    assert note.startswith(f"taskiq, {shape.title}: ")
    assert "2 × taskiq" in note
