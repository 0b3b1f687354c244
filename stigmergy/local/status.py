"""What runs below a state directory, seen from any process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict

from stigmergy.local import marks
from stigmergy.local.marks import ProcessMark
from stigmergy.local.records import ChildRecord, Phase, State, SupervisorRecord, read_record
from stigmergy.local.stack import Stack
from stigmergy.settings import without_credentials

_PHASES: dict[Phase, State] = {"starting": "running", "ready": "running", "stopping": "running", "stopped": "stopped"}


class ProcessStatus(BaseModel):
    """One row of the status: of a server, of the supervisor, or of one of its processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["server", "supervisor", "process"]
    state: State
    ready: bool
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    endpoint: str = ""
    """Without its secret."""
    log: str
    memory_bytes: int | None = None
    """Resident memory of it and of everything it started."""
    note: str = ""


def status(stack: Stack) -> list[ProcessStatus]:
    """Servers, supervisor and processes, in this order; empty if nothing was ever started here."""
    rows = list(_servers(stack))
    record = read_record(stack.layout.supervisor_file, SupervisorRecord)
    if record is None:
        return rows
    orphaned = not marks.alive(record.mark)
    rows.append(_supervisor(record, str(stack.layout.log("supervisor")), orphaned=orphaned))
    return rows + [_process(child, orphaned=orphaned) for child in record.processes]


def _servers(stack: Stack) -> Iterator[ProcessStatus]:
    running, urls = stack.running(), stack.urls()
    for name, record in stack.recorded().items():
        up = name in running
        yield ProcessStatus(
            name=name,
            kind="server",
            state="running" if up else "dead",
            ready=up,
            pid=record.mark.pid if up else None,
            uptime_s=time.time() - record.started_at if up else None,
            restarts=record.restarts,
            endpoint=without_credentials(urls[name].get_secret_value()) if name in urls else "",
            log=str(stack.layout.log(name)),
            memory_bytes=_memory(record.mark) if up else None,
        )


def _supervisor(record: SupervisorRecord, log: str, *, orphaned: bool) -> ProcessStatus:
    ended: State = "stopped" if record.phase == "stopped" else "dead"
    return ProcessStatus(
        name="supervisor",
        kind="supervisor",
        state=ended if orphaned else _PHASES.get(record.phase, "dead"),
        ready=record.phase == "ready" and not orphaned,
        pid=None if orphaned else record.mark.pid,
        uptime_s=None if orphaned else time.time() - record.started_at,
        log=log,
        memory_bytes=None if orphaned else _own_memory(record.mark.pid),
        note=record.note or ("" if orphaned else record.phase),
    )


def _process(child: ChildRecord, *, orphaned: bool) -> ProcessStatus:
    up = marks.alive(child.mark)
    state: State = child.state
    if not up and state in ("running", "restarting"):
        state = "dead" if orphaned else "restarting"  # its supervisor is about to notice
    since = child.started_at if up else None
    return ProcessStatus(
        name=child.name,
        kind="process",
        state=state,
        ready=child.ready and up,
        pid=child.mark.pid if child.mark and up else None,
        uptime_s=time.time() - since if since is not None else None,
        restarts=child.restarts,
        endpoint=without_credentials(child.endpoint),
        log=child.log,
        memory_bytes=_memory(child.mark) if child.mark and up else None,
        note="its supervisor is gone" if up and orphaned else child.note,
    )


def _memory(who: ProcessMark) -> int | None:
    try:
        children = psutil.Process(who.pid).children(recursive=True)
    except psutil.Error:
        return None
    return sum(_own_memory(pid) or 0 for pid in (who.pid, *(child.pid for child in children)))


def _own_memory(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
