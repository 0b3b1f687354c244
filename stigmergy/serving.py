"""Hosting roles: one process may have several (a laptop), or each its own and any number of replicas (a cluster)."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence

from events.event_loop import new_event_loop
from schemas.errors import InvalidInput, StigmergyError
from stigmergy.local import report_ready
from stigmergy.settings import Settings
from stigmergy.wiring import make_archive, make_backlog, make_orchestrator, make_scaler, make_task_queue, open_bus

_log = logging.getLogger(__name__)
ROLES = ("orchestrator", "task-queue")
"""What ``all`` means."""
OPTIONAL_ROLES = ("archive", "scaler", "backlog")
"""Hosted only where they are named: they need a place to keep things, and packages of an extra."""


def serve(roles: Sequence[str], settings: Settings) -> None:
    """Host roles until SIGTERM or Ctrl-C. Decisions that are under way are finished first.

    Raises:
        InvalidInput: there is no such role.
        LogUnavailable, Unavailable: a server is not there.
    """
    known = (*ROLES, *OPTIONAL_ROLES)
    unknown = [role for role in roles if role not in known]
    if unknown:
        raise InvalidInput(f"there is no role {unknown[0]!r}", hint=f"the roles are: {', '.join(known)}, or all")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(roles, settings))


async def _serve(roles: Sequence[str], settings: Settings) -> None:
    async with open_bus(settings, name="+".join(roles), migrate=True) as bus:
        ready = {role: asyncio.Event() for role in roles}
        tasks: list[asyncio.Task[None]] = []
        if "orchestrator" in roles:
            tasks.append(asyncio.create_task(make_orchestrator(bus, settings).run(ready["orchestrator"])))
        if "task-queue" in roles:
            tasks.append(asyncio.create_task(make_task_queue(bus, settings).run(ready["task-queue"])))
        if "archive" in roles:
            tasks.append(asyncio.create_task(make_archive(bus, settings).run(ready["archive"])))
        if "scaler" in roles:
            tasks.append(asyncio.create_task(make_scaler(bus, settings).run(ready["scaler"])))
        if "backlog" in roles:
            tasks.append(asyncio.create_task(make_backlog(bus, settings).run(ready["backlog"])))
        stopping = _stop_signal()
        starting = asyncio.create_task(_all_set(list(ready.values())))
        try:
            await _first_of(*tasks, starting, stopping)
            if starting.done():
                _log.info("serving %s", ", ".join(roles))
                report_ready()
                await _first_of(*tasks, stopping)
        finally:
            await _end(tasks, starting)


async def _all_set(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _first_of(*futures: asyncio.Future[None]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _end(tasks: list[asyncio.Task[None]], starting: asyncio.Task[None]) -> None:
    failed = [task for task in tasks if task.done()]
    for task in (*tasks, starting):
        task.cancel()
    await asyncio.gather(*tasks, starting, return_exceptions=True)
    for task in failed:
        _raise(task)


def _raise(task: asyncio.Task[None]) -> None:
    """What ended a role, unpacked: a task group wraps it, and whoever reads the log wants the cause."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, StigmergyError)), error.exceptions[0])
    if error is not None:
        raise error


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping
