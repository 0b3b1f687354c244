"""The bubblewrap backend: private mount, process, network, user and IPC namespaces around one command.

What it sees of the host: /usr with its links, a few harmless files of /etc, and the paths it was handed, each at its
own place, so that virtual environments and tracebacks stay true. /tmp and the home folder are fresh and die with it.

Roads not taken: control groups (an ordinary user may not make them without a delegated one); a seccomp filter (the
kernel's whole interface stays open to the guest); ``--nproc`` outside (it would count all processes of the user).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import ceil
from pathlib import Path

from schemas.errors import InvalidInput, ToolMissing
from workers.sandboxes import tree
from workers.sandboxes.guest_env import guest_env
from workers.sandboxes.port import Capabilities, Completed, Limits, OnOutput
from workers.sandboxes.supervise import supervise

HOME = "/tmp/home"  # noqa: S108 - inside the guest's own tmpfs
ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "localtime",
    "mime.types",
    "ssl/certs",
    "ssl/openssl.cnf",
)
ETC_NETWORK = ("resolv.conf", "hosts", "nsswitch.conf", "services", "protocols")
LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ACCOUNTS = "root:x:0:0:guest:/tmp/home:/bin/sh\nguest:x:1000:1000:guest:/tmp/home:/bin/sh\n"
PROBE_TIMEOUT_S = 10.0


class BubblewrapSandbox:
    """Runs guests under ``bwrap``, found on PATH."""

    name = "bubblewrap"

    @cached_property
    def capabilities(self) -> Capabilities:
        """Everything, when a trial run works; nothing, when it does not. Tried once for each instance."""
        if self.fault:
            return Capabilities()
        return Capabilities(
            private_files=True, contained_writes=True, no_network=True, tree_killed=True, tree_memory=True
        )

    @cached_property
    def fault(self) -> str:
        """Why it does not work here; empty when it does. Containers often forbid the namespaces that it needs."""
        missing = [tool for tool in ("bwrap", "prlimit") if shutil.which(tool) is None]
        if missing:
            return f"{' and '.join(missing)} not found on PATH"
        argv = [*_isolation(Limits()), *_system(network=False), "--", "/usr/bin/env", "true"]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, env=guest_env({}, home="/", scratch="/")
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"a trial run failed: {error}"
        return "" if done.returncode == 0 else f"a trial run failed: {done.stderr.strip()[-300:]}"

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
        """See `Sandbox.run`."""
        if not command:
            raise InvalidInput("there is no command to run", hint="give a program and its arguments")
        if self.fault:
            raise ToolMissing(f"bubblewrap does not work on this machine: {self.fault}", hint=HINT)
        folder = folder.resolve()
        account = _memory_file(ACCOUNTS)
        try:
            argv = [
                *_isolation(limits),
                *_system(network=limits.network),
                *("--ro-bind-data", str(account), "/etc/passwd"),
                *_mounts([*writable, folder], read_only),
                *("--remount-ro", "/", "--chdir", str(folder), "--", *_limited(limits), *command),
            ]
            return supervise(
                argv,
                folder=folder,
                env=guest_env(env, home=HOME, scratch="/tmp"),  # noqa: S108 - the guest's own
                limits=limits,
                kill=_kill,
                cancelled=cancelled,
                on_output=on_output,
                pass_fds=(account,),
            )
        finally:
            os.close(account)


HINT = "install bubblewrap and util-linux and allow user namespaces, or choose another sandbox"


def _isolation(limits: Limits) -> list[str]:
    flags = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    share = ["--share-net"] if limits.network else []
    tmp = ["--size", str(limits.scratch_bytes), "--tmpfs", "/tmp", "--dir", HOME]  # noqa: S108 - the guest's own
    shm = ["--size", str(limits.scratch_bytes), "--tmpfs", "/dev/shm"]  # noqa: S108 - the guest's own
    return [
        *(shutil.which("bwrap") or "bwrap", *flags, *share, "--cap-drop", "ALL", "--hostname", "sandbox"),
        *("--proc", "/proc", "--dev", "/dev", *shm, *tmp),
    ]


def _system(*, network: bool) -> list[str]:
    """The system's programs, read-only: /usr, its links at the root, and files of /etc without accounts or keys."""
    argv = ["--ro-bind", "/usr", "/usr"]
    for name in LINKED:
        path = Path("/", name)
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    for name in (*ETC, *(ETC_NETWORK if network else ())):
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return argv


def _mounts(writable: Sequence[Path], read_only: Sequence[Path]) -> list[str]:
    """Binds, outer folders first, so that an inner one is never hidden by the mount of an outer one."""
    binds = [(path.resolve(), "--bind") for path in writable]
    for path in read_only:
        binds += [(path.absolute(), "--ro-bind"), (path.resolve(), "--ro-bind")]
    ordered = sorted(dict.fromkeys(binds), key=lambda bind: len(bind[0].parts))
    return [part for path, flag in ordered for part in (flag, str(path), str(path))]


def _limited(limits: Limits) -> list[str]:
    # --data and --cpu are only backstops, for one huge allocation and a watch that is late: the watch on the whole tree
    # is what names the reason.
    cpu_s = ceil(limits.cpu_s) + 1
    return [
        "prlimit",
        f"--nproc={limits.processes}",
        f"--cpu={cpu_s}:{cpu_s + 2}",
        f"--fsize={limits.file_bytes}",
        f"--data={limits.memory_bytes * 2}",
        "--core=0",
        "--nofile=1024",
        "--",
    ]


def _memory_file(text: str) -> int:
    fd = os.memfd_create("account")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill bwrap and everything under it; the kernel ends the whole process namespace with its first process."""
    tree.kill(process.pid)
    process.wait()
