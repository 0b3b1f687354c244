"""The process backend: limits of the kernel, a session of its own, and no descendant left behind.

It hides no files: the guest reads and writes what its user may. Where the kernel grants user namespaces it also has no
network. It is for code that is trusted as much as the worker itself, and for machines that offer nothing better.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import ceil
from pathlib import Path

from schemas.errors import InvalidInput, ToolMissing
from workers.sandboxes import keeper, tree
from workers.sandboxes.guest_env import guest_env
from workers.sandboxes.port import Capabilities, Completed, Limits, OnOutput
from workers.sandboxes.supervise import supervise

KEEPER = str(Path(keeper.__file__).resolve())
TERM_GRACE_S = 1.0
PROBE_TIMEOUT_S = 10.0


class ProcessSandbox:
    """Runs guests as plain processes.

    Args:
        namespaces: False leaves the kernel's namespaces alone, as on a machine that refuses them.
    """

    name = "process"

    def __init__(self, *, namespaces: bool = True) -> None:
        self._wanted = namespaces

    @cached_property
    def _namespaces(self) -> bool:
        """Whether the kernel grants them here; tried once for each instance."""
        if not self._wanted or sys.platform != "linux":
            return False
        argv = _argv(["true"], Limits(), namespaces=True)
        try:
            done = subprocess.run(argv, capture_output=True, timeout=PROBE_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    @cached_property
    def capabilities(self) -> Capabilities:
        """No network where namespaces are granted. Files are never private. Off Linux a daemon may escape."""
        return Capabilities(no_network=self._namespaces, tree_killed=sys.platform == "linux", tree_memory=True)

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        read_only: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        cancelled: Callable[[], bool] | None = None,
        on_output: OnOutput | None = None,
    ) -> Completed:
        """See `Sandbox.run`. ``read_only`` and ``writable`` are not enforced: the guest sees all its user sees."""
        if not command:
            raise InvalidInput("there is no command to run", hint="give a program and its arguments")
        isolate = self._namespaces and not limits.network
        with tempfile.TemporaryDirectory(prefix="stigmergy-", ignore_cleanup_errors=True) as scratch:
            done = supervise(
                _argv(command, limits, namespaces=isolate),
                folder=folder.resolve(),
                env=guest_env(env, home=scratch, scratch=scratch),
                limits=limits,
                kill=_kill,
                cancelled=cancelled,
                on_output=on_output,
            )
        if isolate and done.exit_code == keeper.REFUSED and "namespaces refused" in done.stderr:
            raise ToolMissing("the kernel no longer grants namespaces", hint="start the worker again to choose anew")
        return done


def _argv(command: Sequence[str], limits: Limits, *, namespaces: bool) -> list[str]:
    wish = {"command": list(command), "namespaces": namespaces, "limits": _kernel_limits(limits, own_count=namespaces)}
    return [sys.executable, "-I", "-S", KEEPER, json.dumps(wish)]


def _kernel_limits(limits: Limits, *, own_count: bool) -> dict[str, tuple[int, int]]:
    """Soft and hard limits of each process. Those of memory and processor time are backstops: the watch on the tree
    names the reason."""
    cpu_s = ceil(limits.cpu_s) + 1
    kernel = {
        "RLIMIT_CPU": (cpu_s, cpu_s + 2),
        "RLIMIT_FSIZE": (limits.file_bytes, limits.file_bytes),
        "RLIMIT_DATA": (limits.memory_bytes * 2, limits.memory_bytes * 2),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NOFILE": (1024, 1024),
    }
    if own_count:  # outside a user namespace this would count every process of the user, also those of others
        kernel["RLIMIT_NPROC"] = (limits.processes, limits.processes)
    return kernel


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ask the keeper to end everything, then make sure of it."""
    process.terminate()
    try:
        process.wait(TERM_GRACE_S)
    except subprocess.TimeoutExpired:
        tree.kill(process.pid)
        process.wait()
