"""Everything on one machine: the embedded servers, and a supervisor for our own processes.

::

    stack = LocalStack(Settings())
    stack.up([ProcessSpec(name="gateway", argv=("stig", "serve", "gateway"), ready="file")], detach=True)
    for row in stack.status(): ...
    stack.down()

    with stack.servers() as endpoints: ...   # only NATS and Valkey, for the time of the block

A server whose URL is in the settings is not ours and is left alone. What is below :mod:`stigmergy.local`:
``stack`` (the two servers), ``supervisor`` and ``child`` (processes), ``marks`` (which process is meant), ``leash``
(children die with their parent), ``detached`` and ``background`` (a supervisor without a terminal), ``ephemeral``
(throw-away servers for tests).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from stigmergy.local import marks
from stigmergy.local.detached import detach as _detach
from stigmergy.local.endpoints import Endpoints
from stigmergy.local.leftovers import end_leftovers, sole_supervisor
from stigmergy.local.process_spec import Patience, ProcessSpec
from stigmergy.local.ready import report_ready
from stigmergy.local.records import SupervisorRecord, read_record
from stigmergy.local.shared_stack import SharedStack
from stigmergy.local.stack import Stack
from stigmergy.local.status import ProcessStatus, status
from stigmergy.local.supervisor import Supervisor
from stigmergy.settings import Settings

__all__ = ["Endpoints", "LocalStack", "Patience", "ProcessSpec", "ProcessStatus", "Stack", "Supervisor", "report_ready"]


class LocalStack:
    """The servers and processes of one state directory. Cheap to make; any process may have one.

    Args:
        settings: ``state_dir``, ports, URLs of servers that are not ours, ``stop_grace_s``.
        quick_crashes: after so many quick crashes in a row a process is given up.
    """

    def __init__(self, settings: Settings, *, quick_crashes: int = 5) -> None:
        self._settings, self._shared = settings, SharedStack(settings)
        self._patience = Patience(quick_crashes=quick_crashes)

    def up(
        self,
        processes: Sequence[ProcessSpec] = (),
        *,
        detach: bool = False,
        run: str | None = None,
        on_ready: Callable[[Endpoints], None] | None = None,
    ) -> None:
        """Start servers, then processes, which find the servers by ``STIGMERGY_NATS_URL`` and ``STIGMERGY_REDIS_URL``.

        In the foreground it returns after Ctrl-C or :meth:`down`, when all has stopped; call it in the main thread,
        with no event loop running. Detached it returns when everything is ready.

        Raises:
            Unavailable: a port is taken, a server or process did not start (with the end of its log).
            Conflict: there is a supervisor in this state directory already. DiskFull, ToolMissing, TimedOut: as named.
        """
        if detach:
            _detach(self._settings, processes, self._patience.quick_crashes)
            if on_ready:
                on_ready(self.endpoints())
            return
        supervisor = Supervisor(
            self._settings.state_dir,
            ground=self._shared,
            grace_s=self._settings.stop_grace_s,
            patience=self._patience,
            run=run,
            on_ready=(lambda: on_ready(self.endpoints())) if on_ready else None,
        )
        asyncio.run(supervisor.run(processes))

    def down(self) -> bool:
        """Stop processes, then servers, from any process, also what a killed supervisor left. False if nothing ran."""
        stack = self._shared.stack
        if not stack.layout.root.is_dir():
            return False
        grace_s = self._settings.stop_grace_s
        record = read_record(stack.layout.supervisor_file, SupervisorRecord)
        supervised = record is not None and marks.end(record.mark, 2 * grace_s + 5)
        with sole_supervisor(stack.layout, wait_s=5):
            left = end_leftovers(stack.layout)
        stopped = stack.stop(grace_s)
        return supervised or left > 0 or stopped

    def status(self) -> list[ProcessStatus]:
        """Servers, supervisor and processes, in this order; empty if nothing was ever started here."""
        return status(self._shared.stack)

    def endpoints(self) -> Endpoints:
        """Where the servers answer now; the URL of an embedded server that does not run is empty."""
        return self._shared.endpoints()

    @contextmanager
    def servers(self) -> Iterator[Endpoints]:
        """Only the servers, for the time of the block. They stop with the last that uses them; raises as :meth:`up`."""
        shared = SharedStack(self._settings)
        endpoints = shared.acquire()
        try:
            yield endpoints
        finally:
            shared.stop()
