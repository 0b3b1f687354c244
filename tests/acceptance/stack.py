"""A whole system of real servers and real processes, each of which can be killed and started by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from stigmergy.local.ephemeral import ThrowAwayServer, nats_server, valkey_server
from stigmergy.local.leash import leashed
from stigmergy.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MISBEHAVING = str(Path(__file__).with_name("misbehaving.py"))
LEASE_S = 2.0
_READY_S = 30.0
_END_S = 15.0


class Process:
    """One process of the system, with its log."""

    def __init__(self, name: str, arguments: tuple[str, ...], folder: Path, settings: Settings) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.arguments = arguments
        self._ready = folder / f"{name}.ready"
        self._ready.unlink(missing_ok=True)
        environment = {**os.environ, **settings.environment(), "PYTHONPATH": str(ROOT)}
        environment["STIGMERGY_READY_FILE"] = str(self._ready)
        environment["PYTHONFAULTHANDLER"] = "1"
        command = (sys.executable, "-m", "tests.acceptance.processes", *arguments)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                leashed(command), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def await_ready(self) -> None:
        """Return when it takes work; raise with its log if it ends before."""
        deadline = time.monotonic() + _READY_S
        while not self._ready.exists():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready (exit {self._popen.poll()}):\n{self.text()}")
            time.sleep(0.02)

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        """SIGKILL to this process alone."""
        self._popen.kill()
        self._popen.wait()

    def kill_all(self) -> None:
        """SIGKILL to this process and everything below it, as when a machine goes away."""
        os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def alive(self) -> list[int]:
        """Processes of its session that are still there."""
        return [p.pid for p in psutil.process_iter(["status"]) if _in_session(p, self.pid)]

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        if not self.has_ended():
            self._popen.terminate()

    def end(self) -> None:
        """SIGTERM, and SIGKILL for what does not end by itself."""
        self.ask_to_end()
        if not self.has_ended():
            try:
                self._popen.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def _in_session(process: psutil.Process, session: int) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and os.getsid(process.pid) == session
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return False


class Stack:
    """Servers, roles and workers that belong together."""

    def __init__(
        self, folder: Path, nats_url: str, nats: ThrowAwayServer, valkey: ThrowAwayServer, **settings: Any
    ) -> None:
        self.folder = folder
        self.nats = nats
        self.valkey = valkey
        self.settings = Settings(
            nats_url=nats_url,
            redis_url=valkey.url,
            state_dir=folder / "state",
            **{"worker_lease_s": LEASE_S, "heartbeat_s": 0.5, **settings},
        )
        self._processes: dict[str, Process] = {}

    def __getitem__(self, name: str) -> Process:
        """The process of this name that was started last."""
        return self._processes[name]

    def processes(self) -> list[tuple[str, Process]]:
        """All of them, each with its name."""
        return list(self._processes.items())

    def serve(self, *roles: str, name: str = "") -> Process:
        """Start roles in one process; it may not be ready yet."""
        return self._start(name or "+".join(roles), ("roles", ",".join(roles)))

    def pool(self, concurrency: int = 2, *, imports: tuple[str, ...] = (), name: str = "pool", **how: Any) -> Process:
        """Start a pool of workers; it may not be ready yet. ``how``: arguments of ``worker_settings``, and ``kind``."""
        return self._start(name, ("pool", str(concurrency), ",".join(imports), json.dumps(how)))

    def _start(self, name: str, arguments: tuple[str, ...]) -> Process:
        process = Process(name, arguments, self.folder, self.settings)
        self._processes[name] = process
        return process

    def await_ready(self) -> None:
        for process in self._processes.values():
            process.await_ready()

    def kill_everything(self) -> None:
        """SIGKILL to all processes and servers, as when the machine goes away."""
        for process in self._processes.values():
            process.kill_all()
        self.nats.kill()
        self.valkey.kill()

    def mend(self) -> None:
        """Start again what has ended, on the same data; returns when all of it is ready.

        Called in the main thread, as everything here: a leashed process ends with the thread that started it.
        """
        for server in (self.nats, self.valkey):
            if not psutil.pid_exists(server.pid):
                server.start()
        for process in list(self._processes.values()):
            if process.has_ended():
                process.end()
                self._start(process.name, process.arguments)
        self.await_ready()

    def end(self) -> None:
        for process in self._processes.values():
            process.ask_to_end()
        for process in self._processes.values():
            process.end()

    def logs(self) -> Iterator[tuple[str, str]]:
        """Name and text of every log, each once."""
        for name, process in self._processes.items():
            yield name, process.text()


@contextmanager
def running(
    folder: Path,
    *,
    split: bool = False,
    pools: tuple[str, ...] = ("pool",),
    imports: tuple[str, ...] = (),
    grace_s: float = 20.0,
    **settings: Any,
) -> Iterator[Stack]:
    """A stack with all roles, and pools of two workers. ``split`` gives every role a process of its own."""
    with ExitStack() as closing:
        nats = closing.enter_context(nats_server(folder / "n"))
        valkey = closing.enter_context(valkey_server(folder / "v"))
        stack = Stack(folder, nats.url, nats, valkey, skill_grace_s=grace_s, **settings)
        closing.callback(stack.end)
        names = ("orchestrator", "task-queue", "world")
        for roles in [(name,) for name in names] if split else [names]:
            stack.serve(*roles)
        for pool in pools:
            stack.pool(imports=imports, name=pool)
        stack.await_ready()
        yield stack
