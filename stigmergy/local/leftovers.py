"""At most one supervisor for one state directory, and nothing left of the one before."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from stigmergy.local import marks
from stigmergy.local.layout import Layout
from stigmergy.local.lock import exclusive
from stigmergy.local.process_spec import RUN
from stigmergy.local.records import SupervisorRecord, read_record, write_record


@contextmanager
def sole_supervisor(layout: Layout, *, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only supervisor of this directory for the block; :class:`Conflict` if there is one already."""
    record = read_record(layout.supervisor_file, SupervisorRecord)
    pid = f" (pid {record.mark.pid})" if record else ""
    busy = f"processes of {layout.root} are supervised already{pid}"
    hint = "stop them first, or set STIGMERGY_STATE_DIR to another folder"
    with exclusive(layout.supervisor_lock, wait_s=wait_s, busy=busy, hint=hint):
        yield


def end_leftovers(layout: Layout) -> int:
    """SIGKILL every process that the last supervisor left when it was killed itself; how many there were.

    For the holder of the lock: then that supervisor is gone. On Linux its children have died with it; here go the
    children of those, and on other systems all of them. They carry the run in their environment.
    """
    record = read_record(layout.supervisor_file, SupervisorRecord)
    if record is None or record.phase == "stopped":
        return 0
    found = [who for who in marks.having_variable(RUN, record.run) if marks.send(who, signal.SIGKILL)]
    for who in found:
        marks.await_end(who, 5.0)
    gone = tuple(child.model_copy(update={"state": "stopped", "mark": None}) for child in record.processes)
    phase = record.phase if record.phase == "failed" else "stopped"
    write_record(layout.supervisor_file, record.model_copy(update={"phase": phase, "processes": gone}))
    return len(found)
