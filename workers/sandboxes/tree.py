"""A process and all its descendants: counted, weighed, killed."""

from __future__ import annotations

import time

import psutil


def members(root: int) -> list[psutil.Process]:
    """The process ``root`` and its descendants, as far as they still live."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident_bytes(processes: list[psutil.Process]) -> int:
    """The sum of resident memory. Pages shared after a fork count once for each process: an upper bound."""
    return sum(_measure(process, "rss") for process in processes)


def proportional_bytes(processes: list[psutil.Process]) -> int:
    """The sum of proportional memory (each shared page split among its users); slower, and exact."""
    return sum(_measure(process, "pss") for process in processes)


def cpu_s(processes: list[psutil.Process]) -> float:
    """Seconds of processor time of these processes, and of those descendants that they have waited for."""
    return sum(_cpu_s(process) for process in processes)


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)


def _measure(process: psutil.Process, kind: str) -> int:
    try:
        if kind == "pss":
            full = process.memory_full_info()
            return int(getattr(full, "pss", full.rss))
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0  # it ended between the listing and the look
    except psutil.AccessDenied:
        # Another user's process (a setuid program): its resident size is public, its proportional one is not.
        return _measure(process, "rss") if kind == "pss" else 0


def kill(root: int, *, patience_s: float = 5.0) -> None:
    """Kill ``root``'s descendants, then ``root``: children first, so that nobody is orphaned while we look."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        below = [p for p in members(root)[1:] if _alive(p)]
        if not below:
            break
        for process in below:
            _kill(process)
        psutil.wait_procs(below, timeout=0.05)
    for process in members(root)[:1]:
        _kill(process)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
