"""The choice of a sandbox, the cap on output, and what only bubblewrap promises."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import InvalidInput, ToolMissing
from workers.sandboxes import Capabilities, Completed, Limits, choose
from workers.sandboxes import choose as choose_function
from workers.sandboxes.bubblewrap import BubblewrapSandbox
from workers.sandboxes.capture import Capture
from workers.sandboxes.choose import FOREIGN_CODE, backend
from workers.sandboxes.process import ProcessSandbox


def test_foreign_code_gets_bubblewrap(bubblewrap: BubblewrapSandbox) -> None:
    chosen = choose()
    assert chosen.name == bubblewrap.name
    assert chosen.capabilities.lacking(FOREIGN_CODE) == ()


def test_a_weaker_preference_is_refused_rather_than_taken() -> None:
    with pytest.raises(ToolMissing, match="process lacks private_files") as caught:
        choose(prefer="process")
    assert "bubblewrap" in caught.value.hint


def test_a_weaker_sandbox_is_taken_when_less_is_required() -> None:
    chosen = choose(Capabilities(tree_memory=True), prefer="process")
    assert chosen.name == "process"
    assert not chosen.capabilities.private_files


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="chroot"):
        choose(prefer="chroot")


def test_nothing_is_downgraded_when_bubblewrap_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    backend.cache_clear()
    try:
        assert "No permissions" in BubblewrapSandbox().fault
        with pytest.raises(ToolMissing, match="bubblewrap lacks private_files"):
            choose_function()
        with pytest.raises(ToolMissing, match="does not work"):
            BubblewrapSandbox().run(["true"], folder=tmp_path)
        assert choose(Capabilities(tree_memory=True)).name == "process"
    finally:
        backend.cache_clear()


def test_without_the_program_the_fault_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not found" in BubblewrapSandbox().fault
    assert BubblewrapSandbox().capabilities == Capabilities()


def test_the_process_backend_tells_whether_it_isolates_the_network() -> None:
    assert not ProcessSandbox(namespaces=False).capabilities.no_network


def test_a_sandbox_runs_from_several_threads_at_once(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    results: list[Completed] = []

    def one(index: int) -> None:
        folder = tmp_path / str(index)
        folder.mkdir()
        results.append(bubblewrap.run(["sh", "-c", f"sleep 0.2; echo {index}"], folder=folder))

    threads = [threading.Thread(target=one, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done.stdout for done in results) == [f"{index}\n" for index in range(4)]


def test_the_private_tmp_is_bounded_and_gone(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    limits = Limits(scratch_bytes=1024 * 1024)
    fill = "dd if=/dev/zero of=/tmp/a bs=65536 count=64 2>&1; ls /tmp; echo x > /rootfile"
    done = bubblewrap.run(["sh", "-c", fill], folder=tmp_path, limits=limits)
    assert "No space left" in done.stdout
    assert "Read-only" in done.stderr
    again = bubblewrap.run(["sh", "-c", "cat /tmp/a"], folder=tmp_path)
    assert "No such file" in again.stderr


def test_the_guest_sees_only_its_own_processes(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    done = bubblewrap.run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"], folder=tmp_path)
    assert int(done.stdout) <= 6


def test_a_read_only_path_inside_the_workspace_stays_read_only(bubblewrap: BubblewrapSandbox, tmp_path: Path) -> None:
    inner = tmp_path / "venv"
    inner.mkdir()
    done = bubblewrap.run(["sh", "-c", "echo x > venv/x; echo y > y"], folder=tmp_path, read_only=[inner])
    assert "Read-only" in done.stderr
    assert (tmp_path / "y").exists()
    assert list(inner.iterdir()) == []


@pytest.mark.parametrize("field", ["wall_s", "memory_bytes", "output_bytes", "processes"])
def test_a_limit_of_nothing_is_refused(field: str) -> None:
    nothing: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=field):
        replace(Limits(), **nothing)


def test_capture_keeps_both_ends() -> None:
    capture = Capture(10)
    for byte in b"abcdefghijklmnop":
        capture.feed(bytes([byte]))
    assert capture.truncated
    assert capture.text().startswith("abcde")
    assert capture.text().endswith("lmnop")
    assert "6 bytes left out" in capture.text()


def test_capture_tells_split_characters_and_endless_lines() -> None:
    lines: list[str] = []
    capture = Capture(100, lines.append)
    for byte in "grün\r\n".encode() + b"y" * 5000:
        capture.feed(bytes([byte]))
    capture.close()
    assert lines[0] == "grün"
    assert "".join(lines[1:]) == "y" * 5000
    assert max(map(len, lines)) <= 4096


def test_the_keeper_needs_the_standard_library_only() -> None:
    from workers.sandboxes import keeper

    source = Path(keeper.__file__).read_text("utf-8")
    imported = {
        line.split()[1].partition(".")[0] for line in source.splitlines() if line.startswith(("import", "from"))
    }
    assert imported <= sys.stdlib_module_names
