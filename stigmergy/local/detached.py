"""A supervisor in the background: in a session of its own, deaf to the terminal that started it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

import stigmergy
from schemas.errors import StigmergyError, TimedOut, Unavailable
from stigmergy.local import marks
from stigmergy.local.layout import Layout
from stigmergy.local.leftovers import sole_supervisor
from stigmergy.local.marks import ProcessMark
from stigmergy.local.process_spec import ProcessSpec
from stigmergy.local.records import SupervisorRecord, read_record
from stigmergy.local.server import READY_TIMEOUT_S, spawn
from stigmergy.local.tail import size, tail, turn_over
from stigmergy.settings import Settings

# With -P and our own place: `-m` would look into the working directory first, which is often somebody's repository.
_PROGRAM = """
import sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
from stigmergy.local.background import main
main()
"""


class Order(BaseModel):
    """What the background supervisor is to do. It goes through a pipe, as the settings hold secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    settings: dict[str, Any]
    processes: tuple[ProcessSpec, ...]
    quick_crashes: int


def detach(settings: Settings, processes: Sequence[ProcessSpec], quick_crashes: int) -> int:
    """Start the supervisor in the background and return its pid when everything is ready.

    Raises what the supervisor failed with: :class:`Unavailable` with the end of the log of the process at fault,
    ``Conflict`` if one runs already, ``TimedOut`` if it does not come up; then nothing of it is left running.
    """
    layout = Layout.at(settings.state_dir)
    layout.create()
    with sole_supervisor(layout):
        pass  # say so here, with the pid, rather than in the log of the second one
    order = Order(
        run=uuid4().hex, settings=settings.revealed(), processes=tuple(processes), quick_crashes=quick_crashes
    )
    log = layout.log("supervisor")
    turn_over(log)
    begins = size(log)
    who = _spawn(order, log)
    patience_s = READY_TIMEOUT_S + 15 + max((spec.ready_timeout_s for spec in processes), default=0)
    came_up = False
    try:
        _await_ready(layout, order.run, who, patience_s, lambda: tail(log, 15, since=begins))
        came_up = True
    finally:
        if not came_up:
            marks.end(who, settings.stop_grace_s + 15)
            marks.reap(who.pid)
    return who.pid


def _spawn(order: Order, log: Path) -> ProcessMark:
    home = str(Path(stigmergy.__file__).resolve().parents[1])
    reading, writing = os.pipe()
    try:
        who = spawn((sys.executable, "-P", "-c", _PROGRAM, home), os.environ, log, stdin=reading)
    except StigmergyError:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    with open(writing, "w", encoding="utf-8") as pipe, suppress(BrokenPipeError):  # it died: told by its log
        pipe.write(order.model_dump_json())
    return who


def _await_ready(layout: Layout, run: str, who: ProcessMark, patience_s: float, log: Callable[[], str]) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        gone = not marks.alive(who)
        record = read_record(layout.supervisor_file, SupervisorRecord)
        if record is not None and record.run == run:
            if record.phase == "ready":
                return
            if record.phase == "failed":
                raise _error(record)
        if gone:
            marks.reap(who.pid)
            raise Unavailable(f"the supervisor ended while starting:\n{log()}", hint="see the end of its log above")
        time.sleep(0.02)
    raise TimedOut(f"not everything was ready within {patience_s:g} s:\n{log()}", hint="look at the logs")


def _error(record: SupervisorRecord) -> StigmergyError:
    kinds = [StigmergyError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    kind = next((kind for kind in kinds if kind.code == record.code), StigmergyError)
    return kind(record.note, hint=record.hint)
