"""What a sandboxed run of an attempt may use: the tool's own limits, narrowed by what the action says."""

from __future__ import annotations

from dataclasses import replace

from schemas.attempts import AttemptOrder
from workers.sandboxes import Limits

_MIB = 1024 * 1024


def limits_for(order: AttemptOrder, limits: Limits) -> Limits:
    """``limits``, with memory, processor time and processes of the action's resources where it names them."""
    wanted = order.action.resources
    return replace(
        limits,
        memory_bytes=int(wanted["memory_mb"] * _MIB) if wanted.get("memory_mb", 0) > 0 else limits.memory_bytes,
        cpu_s=int(wanted["cpu_s"]) if wanted.get("cpu_s", 0) >= 1 else limits.cpu_s,
        processes=int(wanted["processes"]) if wanted.get("processes", 0) >= 1 else limits.processes,
    )
