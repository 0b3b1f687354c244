"""Hosting roles: one process may have several (a laptop), or each its own and any number of replicas (a cluster)."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Sequence
from typing import cast

from events.event_loop import new_event_loop
from events.services import NatsServices
from projections.hosting import Hosted, cause_of
from projections.port import Projection
from schemas.ids import process_name
from stigmergy.local import report_ready
from stigmergy.one_reader import with_one_reader
from stigmergy.roles import Role, Runs, role_named
from stigmergy.settings import Settings
from stigmergy.wiring import Bus, open_bus

_log = logging.getLogger(__name__)


def serve(roles: Sequence[str], settings: Settings, *, stay: bool = False) -> None:
    """Host roles until SIGTERM or Ctrl-C. Decisions that are under way are finished first.

    A read model that cannot start, or fails, ends the process only if it is alone in it. Else, or with ``stay``, those
    who ask are told, and it is tried again.

    Raises:
        InvalidInput: there is no such role.
        LogUnavailable, Unavailable: a server is not there.
    """
    chosen = [role_named(name) for name in roles]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(chosen, settings, stay=stay))


async def _serve(roles: Sequence[Role], settings: Settings, *, stay: bool) -> None:
    names = [role.name for role in roles]
    async with open_bus(settings, name="+".join(names), migrate=True) as bus:
        if any(role.decides for role in roles):
            bus = with_one_reader(bus)
        ready = [asyncio.Event() for _ in roles]
        made = [_hosted(role, bus, settings, alone=len(roles) == 1 and not stay) for role in roles]
        tasks = [asyncio.create_task(one.run(event)) for one, event in zip(made, ready, strict=True)]
        stopping = _stop_signal()
        starting = asyncio.create_task(_all_set(ready))
        try:
            await _first_of(*tasks, starting, stopping)
            if starting.done():
                # What is there now stays: to look through it again and again would hold decisions up, 20 ms each time.
                gc.freeze()
                _log.info("serving %s", ", ".join(names))
                report_ready()
                await _first_of(*tasks, stopping)
        finally:
            await _end(tasks, starting)


def _hosted(role: Role, bus: Bus, settings: Settings, *, alone: bool) -> Runs:
    if not role.reads:
        return role.make(bus, settings)

    def make() -> Projection:
        return cast(Projection, role.make(bus, settings))

    return Hosted(role.name, make, bus.log, NatsServices(bus.nc), host=process_name(), alone=alone)


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
    if (error := task.exception()) is not None:
        raise cause_of(error)


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping
