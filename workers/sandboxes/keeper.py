"""Runs one command and sees that nothing of it is left: a program of its own, for the process backend.

Started as ``python -I -S keeper.py {json}``, so it is single-threaded and may fork and unshare safely, which a function
run between fork and exec of a threaded worker may not. It imports the standard library only.

With ``namespaces`` it first enters new user, network, process and mount namespaces; then the guest has a loopback of
its own and the kernel kills whatever is left. Without, it becomes the reaper of all orphans below it and kills them.
Exit code: the guest's, 128 + n after signal n, 96 when the namespaces were refused, 97 when the program cannot start.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

REFUSED = 96
NOT_STARTED = 97
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MS_REC_PRIVATE = 0x4000 | 0x40000
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x1 | 0x40


def main() -> NoReturn:
    """Read the wish from the first argument, run it, exit as it did."""
    wish: dict[str, Any] = json.loads(sys.argv[1])
    linux = sys.platform == "linux"
    if linux:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if wish["namespaces"]:
        try:
            _enter_namespaces()
        except OSError as error:
            sys.stderr.write(f"namespaces refused: {error}\n")
            os._exit(REFUSED)
        first = os.fork()  # the first process of the new namespace; when it ends, the kernel kills all others
        if first:
            signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
            os._exit(_code(os.waitpid(first, 0)[1]))
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _own_proc()
    elif linux:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    os._exit(_keep(wish))


def _keep(wish: dict[str, Any]) -> int:
    guest = os.fork()
    if guest == 0:
        _become_guest(wish)
    code = NOT_STARTED
    signal.signal(signal.SIGTERM, lambda *_: _kill_rest(guest))
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return code
        if pid == guest:
            code = _code(status)
        if pid == guest or code != NOT_STARTED:
            _kill_rest(guest)


def _kill_rest(guest: int) -> None:
    """Kill the guest's group and every process below us. Orphans of the killed come to us and are killed in turn."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(guest, signal.SIGKILL)
    for pid in _below(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _below(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{entry}/stat") as file:
                parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _become_guest(wish: dict[str, Any]) -> NoReturn:
    os.setsid()
    for name, (soft, hard) in wish["limits"].items():
        kind = getattr(resource, name, None)
        if kind is not None:
            _, most = resource.getrlimit(kind)
            top = hard if most == resource.RLIM_INFINITY else min(hard, most)
            resource.setrlimit(kind, (min(soft, top), top))
    try:
        os.execvpe(wish["command"][0], wish["command"], os.environ)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{wish['command'][0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _enter_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET | os.CLONE_NEWPID | os.CLONE_NEWNS | os.CLONE_NEWIPC)
    for path, line in (
        ("/proc/self/setgroups", "deny"),
        ("/proc/self/uid_map", f"{uid} {uid} 1"),
        ("/proc/self/gid_map", f"{gid} {gid} 1"),
    ):
        with open(path, "w") as file:
            file.write(line)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP_RUNNING))


def _own_proc() -> None:
    """A /proc that shows the new process namespace. Some containers forbid it; then the guest sees the old one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) == 0:
        libc.mount(b"proc", b"/proc", b"proc", 0, None)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
