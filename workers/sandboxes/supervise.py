"""Start a backend's process and stand by until its end: read its output, hold its limits, stop it when asked.

One thread, one selector. Two reader threads were the other road; they would have to be joined after a kill while a
descendant still holds the pipe.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from schemas.errors import InvalidInput, ToolMissing
from workers.sandboxes import tree
from workers.sandboxes.capture import Capture
from workers.sandboxes.port import Completed, EndedBy, Limits, OnOutput

WATCH_EVERY_S = 0.05
PIPE_GRACE_S = 1.0
CPU_EXIT_CODE = 128 + signal.SIGXCPU
Kill = Callable[["subprocess.Popen[bytes]"], None]


def supervise(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    limits: Limits,
    kill: Kill,
    cancelled: Callable[[], bool] | None,
    on_output: OnOutput | None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run ``argv`` to its end and report it. ``kill`` must end the process and every descendant.

    Raises:
        InvalidInput: ``folder`` is no folder.
        ToolMissing: the program cannot be started.
    """
    if not folder.is_dir():
        raise InvalidInput(f"the workspace {folder} is not a folder", hint="make it before running in it")
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    except OSError as error:
        raise ToolMissing(f"{argv[0]} cannot be started: {error}", hint="check that it is installed") from error
    watch = _Watch(process, limits, kill, cancelled, started)
    streams = _open_streams(process, limits, on_output)
    try:
        watch.follow(streams)
    finally:
        if process.poll() is None:
            kill(process)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    for capture in streams.captures:
        capture.close()
    return _completed(process, streams, watch, time.monotonic() - started)


@dataclass
class _Streams:
    selector: selectors.BaseSelector
    captures: tuple[Capture, Capture]

    @property
    def open(self) -> bool:
        return bool(self.selector.get_map())

    def read(self, wait_s: float) -> None:
        """Take what has come within ``wait_s``; a stream at its end is dropped."""
        for key, _ in self.selector.select(wait_s):
            chunk = key.fileobj.read1(65536)  # type: ignore[union-attr]
            if chunk:
                key.data.feed(chunk)
            else:
                self.selector.unregister(key.fileobj)


def _open_streams(process: subprocess.Popen[bytes], limits: Limits, on_output: OnOutput | None) -> _Streams:
    selector = selectors.DefaultSelector()
    out = Capture(limits.output_bytes, None if on_output is None else partial(on_output, "stdout"))
    err = Capture(limits.output_bytes, None if on_output is None else partial(on_output, "stderr"))
    for stream, capture in ((process.stdout, out), (process.stderr, err)):
        if stream is not None:
            selector.register(stream, selectors.EVENT_READ, capture)
    return _Streams(selector, (out, err))


@dataclass
class _Watch:
    process: subprocess.Popen[bytes]
    limits: Limits
    kill: Kill
    cancelled: Callable[[], bool] | None
    started: float
    ended_by: EndedBy = "exit"
    peak: int = 0
    cpu_s: float = 0.0
    _next: float = field(default=0.0)

    def follow(self, streams: _Streams) -> None:
        """Read and watch until the process has ended and its pipes are empty, or it has been killed."""
        while not self._has_ended():
            if streams.open:
                streams.read(WATCH_EVERY_S)
            else:
                time.sleep(0.005)
            if time.monotonic() >= self._next:
                reason = self._reason_to_stop()
                self._next = time.monotonic() + WATCH_EVERY_S
                if reason is not None:
                    self.ended_by = reason
                    self.kill(self.process)
                    break
        grace = time.monotonic() + PIPE_GRACE_S
        while streams.open and time.monotonic() < grace:
            streams.read(WATCH_EVERY_S)
        streams.selector.close()

    def _has_ended(self) -> bool:
        """Whether the process has ended; before it is reaped, the kernel tells what all of it has used."""
        if hasattr(os, "waitid") and os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            self.cpu_s = max(self.cpu_s, tree.cpu_s([psutil.Process(self.process.pid)]))
        return self.process.poll() is not None

    def _reason_to_stop(self) -> EndedBy | None:
        if time.monotonic() - self.started > self.limits.wall_s:
            return "timeout"
        if self.cancelled is not None and self.cancelled():
            return "cancelled"
        processes = tree.members(self.process.pid)
        if len(processes) > self.limits.processes + 4:  # the backend's own keepers come on top
            return "processes"
        self.cpu_s = max(self.cpu_s, tree.cpu_s(processes))
        if self.cpu_s > self.limits.cpu_s:
            return "cpu"
        used = tree.resident_bytes(processes)
        if used > self.limits.memory_bytes:
            used = tree.proportional_bytes(processes)
        self.peak = max(self.peak, used)
        return "memory" if used > self.limits.memory_bytes else None


def _completed(process: subprocess.Popen[bytes], streams: _Streams, watch: _Watch, duration_s: float) -> Completed:
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    out, err = streams.captures
    over_cpu = watch.ended_by == "exit" and code == CPU_EXIT_CODE
    return Completed(
        exit_code=code,
        stdout=out.text(),
        stderr=err.text(),
        stdout_truncated=out.truncated,
        stderr_truncated=err.truncated,
        duration_s=duration_s,
        peak_memory_bytes=watch.peak or None,
        cpu_s=round(watch.cpu_s, 3),
        ended_by="cpu" if over_cpu else watch.ended_by,
    )
