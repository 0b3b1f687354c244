"""What every sandbox must do, run by each backend; and what a backend must hold when it says that it does."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from schemas.errors import InvalidInput
from workers.sandboxes import Limits, Sandbox
from workers.sandboxes.bubblewrap import BubblewrapSandbox
from workers.sandboxes.process import ProcessSandbox

PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
SHOWN = [PYTHON.parent.parent]
QUICK = Limits(wall_s=10.0)


@pytest.fixture(scope="module", params=["bubblewrap", "process", "process without namespaces"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "bubblewrap":
        found = BubblewrapSandbox()
        if found.fault and not os.environ.get("CI"):
            pytest.skip(found.fault)
        assert not found.fault
        return found
    return ProcessSandbox(namespaces=request.param == "process")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "a work space"
    folder.mkdir()
    return folder


def _python(code: str) -> list[str]:
    return [str(PYTHON), "-I", "-c", code]


def _living(mark: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]


def _wait_gone(mark: str) -> None:
    deadline = time.monotonic() + 3
    while _living(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _living(mark) == []


def test_it_reports_output_and_exit_code(sandbox: Sandbox, workspace: Path) -> None:
    done = sandbox.run(["sh", "-c", "echo out; echo err >&2; exit 3"], folder=workspace, limits=QUICK)
    assert (done.exit_code, done.stdout, done.stderr, done.ended_by) == (3, "out\n", "err\n", "exit")
    assert not done.stdout_truncated
    assert not done.ok


def test_a_signal_is_128_and_its_number(sandbox: Sandbox, workspace: Path) -> None:
    done = sandbox.run(["sh", "-c", "kill -SEGV $$"], folder=workspace, limits=QUICK)
    assert (done.exit_code, done.ended_by) == (139, "exit")


def test_the_workspace_is_the_working_directory_and_writable(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "in.txt").write_text("hello")
    done = sandbox.run(["sh", "-c", "cat in.txt > out.txt; pwd"], folder=workspace, limits=QUICK)
    assert (workspace / "out.txt").read_text() == "hello"
    assert done.stdout.strip() == str(workspace.resolve())


def test_a_further_folder_can_be_written(sandbox: Sandbox, workspace: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    done = sandbox.run(["sh", "-c", f"echo x > '{report}/r'"], folder=workspace, limits=QUICK, writable=[report])
    assert done.ok, done.stderr
    assert (report / "r").read_text() == "x\n"


def test_the_environment_holds_nothing_of_the_host(
    sandbox: Sandbox, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cret")
    done = sandbox.run(["env"], folder=workspace, env={"GIVEN": "yes"}, limits=QUICK)
    assert "GIVEN=yes" in done.stdout
    assert "s3cret" not in done.stdout
    told = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert told <= {"PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "GIVEN", "PWD", "LC_CTYPE"}


def test_a_program_that_is_not_there_is_an_exit_code(sandbox: Sandbox, workspace: Path) -> None:
    done = sandbox.run(["no-such-program"], folder=workspace, limits=QUICK)
    assert done.exit_code == 127 or done.stderr
    assert not done.ok


def test_no_command_and_no_folder_are_refused(sandbox: Sandbox, workspace: Path) -> None:
    with pytest.raises(InvalidInput):
        sandbox.run([], folder=workspace)
    with pytest.raises(InvalidInput):
        sandbox.run(["true"], folder=workspace / "missing")


def test_a_timeout_kills_double_forked_descendants(sandbox: Sandbox, workspace: Path) -> None:
    mark = f"{100_000 + os.getpid()}.1"
    command = ["sh", "-c", f"(setsid setsid sleep {mark} &) ; sleep {mark}"]
    done = sandbox.run(command, folder=workspace, limits=Limits(wall_s=0.4))
    assert done.ended_by == "timeout"
    assert done.duration_s < 5
    _wait_gone(mark)


def test_a_daemon_does_not_outlive_a_command_that_ends(sandbox: Sandbox, workspace: Path) -> None:
    mark = f"{100_000 + os.getpid()}.2"
    done = sandbox.run(["sh", "-c", f"(setsid setsid sleep {mark} >&2 &) ; echo done"], folder=workspace, limits=QUICK)
    assert (done.stdout, done.ended_by) == ("done\n", "exit")
    assert done.duration_s < 5
    _wait_gone(mark)


def test_cancelling_ends_the_run(sandbox: Sandbox, workspace: Path) -> None:
    mark, asked = f"{100_000 + os.getpid()}.3", time.monotonic()
    done = sandbox.run(
        ["sleep", mark], folder=workspace, limits=QUICK, cancelled=lambda: time.monotonic() - asked > 0.3
    )
    assert done.ended_by == "cancelled"
    assert done.duration_s < 5
    _wait_gone(mark)


def test_output_without_end_is_capped(sandbox: Sandbox, workspace: Path) -> None:
    code = "from sys import stdout as o\no.write('HEAD')\nfor _ in range(300): o.write('x'*100_000)\no.write('TAIL')"
    limits = Limits(wall_s=20.0, output_bytes=10_000)
    done = sandbox.run(_python(code), folder=workspace, limits=limits, read_only=SHOWN)
    assert done.ok, done.stderr
    assert done.stdout_truncated
    assert len(done.stdout) < 10_200
    assert done.stdout.startswith("HEAD")
    assert done.stdout.endswith("TAIL")


def test_lines_are_told_as_they_come(sandbox: Sandbox, workspace: Path) -> None:
    heard: list[tuple[str, str, float]] = []
    sandbox.run(
        ["sh", "-c", "echo one; sleep 0.4; echo two >&2; printf three"],
        folder=workspace,
        limits=QUICK,
        on_output=lambda stream, line: heard.append((stream, line, time.monotonic())),
    )
    assert [(s, line) for s, line, _ in heard] == [("stdout", "one"), ("stderr", "two"), ("stdout", "three")]
    assert heard[1][2] - heard[0][2] > 0.2


def test_a_listener_that_fails_ends_the_run(sandbox: Sandbox, workspace: Path) -> None:
    mark = f"{100_000 + os.getpid()}.4"

    def fail(_stream: str, line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="boo"):
        sandbox.run(["sh", "-c", f"echo boo; sleep {mark}"], folder=workspace, limits=QUICK, on_output=fail)
    _wait_gone(mark)


def test_memory_of_the_whole_tree_is_held(sandbox: Sandbox, workspace: Path) -> None:
    assert sandbox.capabilities.tree_memory
    hog = (
        "import os,time\nfor _ in range(3):\n  if os.fork()==0: break\nb=bytearray(os.urandom(1<<20))*60\ntime.sleep(9)"
    )
    limits = Limits(wall_s=9.0, memory_bytes=150 * 1024 * 1024)
    done = sandbox.run(_python(hog), folder=workspace, limits=limits, read_only=SHOWN)
    assert done.ended_by == "memory"
    assert done.peak_memory_bytes is not None
    assert done.peak_memory_bytes > limits.memory_bytes


def test_too_many_processes_end_the_run_or_are_refused(sandbox: Sandbox, workspace: Path) -> None:
    bomb = "import os,time\nfor _ in range(60):\n  if os.fork()==0: time.sleep(9); os._exit(0)\ntime.sleep(9)"
    done = sandbox.run(_python(bomb), folder=workspace, limits=Limits(wall_s=9.0, processes=20), read_only=SHOWN)
    assert done.ended_by == "processes" or "BlockingIOError" in done.stderr


def test_processor_time_is_held(sandbox: Sandbox, workspace: Path) -> None:
    spin = "while True: pass"
    done = sandbox.run(_python(spin), folder=workspace, limits=Limits(wall_s=9.0, cpu_s=1), read_only=SHOWN)
    assert done.ended_by == "cpu"


def test_a_file_cannot_outgrow_its_limit(sandbox: Sandbox, workspace: Path) -> None:
    limits = Limits(wall_s=9.0, file_bytes=1024 * 1024)
    sandbox.run(["dd", "if=/dev/zero", "of=big", "bs=65536", "count=100"], folder=workspace, limits=limits)
    assert (workspace / "big").stat().st_size <= limits.file_bytes


def test_its_own_loopback_works(sandbox: Sandbox, workspace: Path) -> None:
    code = (
        "import socket\ns=socket.create_server(('127.0.0.1',0))\n"
        "c=socket.create_connection(s.getsockname(),2)\nprint('joined')"
    )
    done = sandbox.run(_python(code), folder=workspace, limits=QUICK, read_only=SHOWN)
    assert done.stdout == "joined\n", done.stderr


def test_no_network_is_true_where_it_is_claimed(sandbox: Sandbox, workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1',{port}),2)\nprint('reached')"
        shut = sandbox.run(_python(code), folder=workspace, limits=QUICK, read_only=SHOWN)
        opened = sandbox.run(_python(code), folder=workspace, limits=Limits(wall_s=10.0, network=True), read_only=SHOWN)
    assert ("reached" in shut.stdout) is not sandbox.capabilities.no_network
    assert "reached" in opened.stdout


def test_private_files_are_private_where_it_is_claimed(sandbox: Sandbox, workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret")
    look = f"cat '{secret}'; ls -A /root /home {Path.home()}; cat /etc/shadow"
    done = sandbox.run(["sh", "-c", look], folder=workspace, limits=QUICK)
    assert ("s3cret" in done.stdout) is not sandbox.capabilities.private_files
    if sandbox.capabilities.private_files:
        assert done.stdout == ""


def test_writes_are_contained_where_it_is_claimed(sandbox: Sandbox, workspace: Path, tmp_path: Path) -> None:
    outside, shown = tmp_path / "outside", tmp_path / "shown"
    shown.mkdir()
    script = (
        f"echo x > '{outside}'; echo x > '{shown}/x'; echo x > /usr/stigmergy-probe-{os.getpid()} 2>/dev/null; true"
    )
    if not sandbox.capabilities.contained_writes:
        script = f"echo x > '{outside}'"
    sandbox.run(["sh", "-c", script], folder=workspace, limits=QUICK, read_only=[shown])
    assert outside.exists() is not sandbox.capabilities.contained_writes
    assert list(shown.iterdir()) == []
    assert not Path(f"/usr/stigmergy-probe-{os.getpid()}").exists()
