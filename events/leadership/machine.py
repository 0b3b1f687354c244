"""Whether a process of this machine has ended: then nobody need wait for its lease to end.

Only what is certain counts: the same boot of the same machine and the same process-id namespace (proc(5),
pid_namespaces(7)), for in another container the same number is another process. Where there is no ``/proc``, nothing
is certain, and leases end by themselves.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def this_machine() -> tuple[str, int]:
    """Boot and process-id namespace, empty if unknown; and the id of this process."""
    return _machine(), os.getpid()


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def died_here(machine: str, pid: int) -> bool:
    """Whether this process was one of this machine, and is no more."""
    if not machine or machine != _machine() or pid <= 0:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    except (OSError, IndexError):
        return False
    return state in ("Z", "X")
