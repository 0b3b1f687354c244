"""The command line against a real stack: started by ``stig dev``, used, looked at, stopped."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from schemas.errors import ToolMissing
from stigmergy.cli.main import run
from stigmergy.local.binaries import nats_binary, valkey_binary

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "stigmergy" / "cli" / "__main__.py"
SLOW = """
workflow: slow
tasks:
  wait: {skill: echo, inputs: {sleep_s: 30}}
"""


def start(folder: Path, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """A process of its own: for what takes signals, or reads standard input, or stays."""
    return subprocess.Popen(
        [sys.executable, "-P", str(PROGRAM), *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def started(folder: Path, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """As :func:`start`; a test that fails leaves nothing behind, and does not wait for it."""
    with start(folder, *arguments, stdout=stdout) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def stig(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run a command to its end in this process, which is a second quicker; its output and its errors."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        ended = run(arguments)
    assert ended == code, f"{arguments} ended with {ended}:\n{out.getvalue()}\n{err.getvalue()}"
    assert "Traceback" not in err.getvalue()
    return out.getvalue(), err.getvalue()


def stig_json(folder: Path, *arguments: str) -> Any:
    return json.loads(stig(folder, *arguments, "--json")[0])


def rows(folder: Path) -> dict[str, Any]:
    return {row["name"]: row for row in stig_json(folder, "status")["rows"]}


@pytest.fixture(scope="module", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No settings from outside, and a place for compiled modules: starting a process takes half the time with them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("STIGMERGY_")]:
            patch.delenv(name)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Two directories, each with a stack of its own, started at the same time."""
    try:
        nats_binary(), valkey_binary()
    except ToolMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error}: {error.hint}")
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    starting = [start(folder, "dev", "--detach", "--workers", "2") for folder in folders]
    try:
        for process in starting:
            out, err = process.communicate(timeout=90)
            assert process.returncode == 0, out + err
            assert "✓ workers" in err
        yield folders
    finally:
        pids = [row["pid"] for folder in folders for row in rows(folder).values() if row["pid"]]
        for process in [start(folder, "down") for folder in folders]:
            process.communicate(timeout=60)
        left = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        assert left == []


@pytest.fixture(scope="module")
def stack(stacks: tuple[Path, Path]) -> Path:
    return stacks[0]


@pytest.fixture(scope="module")
def hello(stack: Path) -> str:
    """The id of a mission that was run."""
    view = stig_json(stack, "run", "hello", "--input", 'names=["Ada", "Grace"]')
    assert view["status"] == "completed"
    assert view["result"] == {"greetings": ["Hello, Ada!", "Hello, Grace!"]}
    return str(view["id"])


def test_all_parts_run(stack: Path) -> None:
    found = rows(stack)
    beside = ["read-models"] if _has_pyarrow() else []
    assert list(found) == ["nats", "valkey", "supervisor", "roles", "workers", *beside]
    assert all(row["ready"] for name, row in found.items() if name not in beside)
    assert "workers" in stig(stack, "status")[0]


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def test_read_models_run_where_their_packages_are(stack: Path, hello: str) -> None:
    def archive() -> Any:
        return next(row for row in stig_json(stack, "status")["read_models"] if row["name"] == "archive")

    if not _has_pyarrow():
        assert (archive()["state"], "pyarrow" in archive()["error"]) == ("not hosted", True)
        return
    deadline = time.monotonic() + 30
    while archive()["state"] != "following" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert archive()["state"] == "following"
    assert "following" in stig(stack, "status")[0]
    assert stig_json(stack, "projections", "rebuild", "archive")["position"] >= 0


def test_two_directories_know_nothing_of_each_other(stacks: tuple[Path, Path], hello: str) -> None:
    assert [row["id"] for row in stig_json(stacks[0], "mission", "list")][-1] == hello
    assert stig_json(stacks[1], "mission", "list") == []
    assert "no missions yet" in stig(stacks[1], "mission", "list")[0]
    assert "no missions yet" in stig(stacks[1], "mission", "show", "last", code=2)[1]


def test_a_second_dev_is_refused_with_the_way_out(stack: Path) -> None:
    err = stig(stack, "dev", "--detach", code=1)[1]
    assert "supervised already" in err
    assert "stig down" in err


def test_a_busy_port_is_told(tmp_path: Path, stack: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        err = stig(tmp_path, "dev", "--detach", "--nats-port", port, code=3)[1]
    assert port in err
    assert "hint: " in err
    told = json.loads(stig(tmp_path, "status", "--json", code=1)[0])
    assert not any(row["pid"] for row in told["rows"])
    assert port in told["rows"][-1]["note"]


def test_progress_goes_to_stderr_and_the_result_to_stdout(stack: Path) -> None:
    out, err = stig(stack, "run", "hello")
    assert out.startswith("completed")
    assert "▸ gather started" in err
    assert "✓ mission completed" in err
    assert stig(stack, "run", "hello", "--quiet")[1] == ""


def test_a_mission_can_be_looked_at(stack: Path, hello: str) -> None:
    assert stig_json(stack, "mission", "show", hello)["tasks"][0]["id"] == "gather"
    assert "greet.Ada.say" in stig(stack, "mission", "show", hello)[0]
    events = [json.loads(line) for line in stig(stack, "mission", "events", hello, "--json")[0].splitlines()]
    assert events[0]["type"] == "mission.submitted"
    assert events[-1]["type"] == "mission.completed"
    assert {event["mission"] for event in events} == {hello}
    assert "█" in stig(stack, "mission", "events", hello, "--timeline")[0]
    assert "mission completed" in stig(stack, "mission", "events", hello, "--follow")[0]


def test_unknown_missions_and_wrong_steering_are_told(stack: Path, hello: str) -> None:
    assert "there is no mission 'ffff'" in stig(stack, "mission", "show", "ffff", code=2)[1]
    assert "completed" in stig(stack, "mission", "pause", hello, code=1)[1]
    assert "only a failed mission" in stig(stack, "mission", "retry", hello, code=1)[1]
    assert "no workflow is called 'nope'" in stig(stack, "run", "nope", code=2)[1]


def test_events_are_published_line_by_line(stack: Path) -> None:
    lines = ['{"type": "note.posted", "data": {"text": "one"}}', "no json", '{"type": "task.failed", "data": {}}']
    lines += ['{"type": "note.posted", "data": {"text": "two"}}']
    with started(stack, "events", "publish") as process:
        out, err = process.communicate("\n".join(lines), timeout=30)
    assert (process.returncode, out) == (2, "published 2 events\n")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["line 2", "line 3"]
    shown = stig(stack, "events", "tail", "--type", "note", "--since", "5m", "--no-follow", "--json")[0]
    assert [json.loads(line)["data"]["text"] for line in shown.splitlines()] == ["one", "two"]
    (stack / "notes.ndjson").write_text(shown)
    assert stig(stack, "events", "publish", "notes.ndjson")[0] == "published 2 events\n"
    shown_again = stig(stack, "events", "tail", "--type", "note", "--no-follow", "--json")[0]
    assert shown_again == shown, "an event that is published again is the same event"
    with (stack / "notes.ndjson").open("a") as file:
        file.write('{"type": "note.posted", "data": {"text": "three"}}\n')
    out, _ = stig(stack, "events", "publish", "notes.ndjson", "--json")
    assert json.loads(out)["counts"] == {"published": 3, "duplicates": 2, "lines_done_before": 0, "errors": 0}
    shown_again = stig(stack, "events", "tail", "--type", "note", "--no-follow", "--json")[0]
    assert shown_again.startswith(shown)
    assert len(shown_again.splitlines()) == 3, "a file that has grown adds what is new"


def test_tail_shows_what_comes(stack: Path) -> None:
    (stack / "tick.json").write_text('{"type": "note.posted", "data": {"text": "tick"}}')
    shown = stack / "tail.txt"
    with shown.open("w") as file, started(stack, "events", "tail", "--type", "note.*", stdout=file) as tail:
        deadline = time.monotonic() + 30
        while "tick" not in shown.read_text() and time.monotonic() < deadline:
            stig(stack, "events", "publish", "tick.json")
        tail.send_signal(signal.SIGINT)
        tail.communicate(timeout=20)
    assert "note: tick" in shown.read_text()
    assert tail.returncode == 130


def test_ctrl_c_cancels_the_mission(stack: Path) -> None:
    (stack / "slow.yaml").write_text(SLOW)
    with started(stack, "run", "slow.yaml") as process:
        assert process.stderr is not None
        while "wait started" not in (line := process.stderr.readline()):
            assert line, "it ended before the task began"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out.startswith("cancelled")
    assert "cancelling" in err


def test_a_deadline_cancels_the_mission(stack: Path) -> None:
    (stack / "slow.yaml").write_text(SLOW)
    err = stig(stack, "run", "slow.yaml", "--timeout", "1.5", code=1)[1]
    assert "had not ended within 1.5 s" in err
    assert stig_json(stack, "mission", "show", "last")["status"] == "cancelled"


def test_a_mission_that_has_spent_its_budget_is_shown_and_goes_on_with_more(stack: Path) -> None:
    steps = "".join(
        f"  s{n}: {{skill: echo, inputs: {{sleep_s: 0.3}}, needs: [{f's{n - 1}' if n else ''}]}}\n" for n in range(3)
    )
    (stack / "steps.yaml").write_text(f"workflow: steps\nbudget: {{seconds: 900, llm_calls: 9}}\ntasks:\n{steps}")
    with started(stack, "run", "steps.yaml", "--budget", "seconds=0.4") as process:
        assert process.stderr is not None
        while "mission paused" not in (line := process.stderr.readline()):
            assert line, "it ended before it was held"
        assert "budget_exceeded: seconds 0." in line
        shown = stig(stack, "mission", "show", "last")[0]
        assert "spent llm_calls 0 of 9, seconds 0." in shown
        assert "budget_exceeded" in stig(stack, "mission", "list")[0]
        assert "the budget is spent: seconds" in stig(stack, "mission", "resume", "last", code=1)[1]
        assert (
            "there is no budget of 'hours'"
            in stig(stack, "mission", "resume", "last", "--budget", "hours=1", code=2)[1]
        )
        assert "resumed" in stig(stack, "mission", "resume", "last", "--budget", "seconds=60")[0]
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.startswith("completed")
    assert "mission resumed with a budget of seconds 60" in err
    assert stig_json(stack, "mission", "show", "last")["budget"] == {"seconds": 60.0, "llm_calls": 9.0}
    assert "limit_exceeded" not in stig(stack, "mission", "violations")[0]
    assert "budget_exceeded" in stig(stack, "mission", "violations")[0]


def test_workers_and_doctor_see_the_fleet(stack: Path) -> None:
    assert len(stig_json(stack, "workers", "list")["workers"]) == 2
    checks = {one["name"]: one["state"] for one in stig_json(stack, "doctor")}
    assert checks["workers"] == checks["jetstream"] == checks["redis"] == "ok"


def test_dead_letters(stack: Path) -> None:
    assert "no dead letters" in stig(stack, "events", "dead")[0]
    assert "no dead letter 7" in stig(stack, "events", "retry", "7", code=2)[1]


def test_run_brings_its_own_stack_and_takes_it_away(tmp_path: Path, stack: Path) -> None:
    out, err = stig(tmp_path, "run", "hello", "--json")
    assert json.loads(out)["status"] == "completed"
    assert err.count("\n") == 1
    assert "stopping it afterwards" in err
    assert not any(row["pid"] for row in stig_json(tmp_path, "status")["rows"])
