"""Keeps our own processes running, on a ground of servers that comes first and goes last."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from schemas.errors import DiskFull, InvalidInput, StigmergyError, Unavailable
from stigmergy.local import marks
from stigmergy.local.child import Child
from stigmergy.local.layout import Layout, no_write
from stigmergy.local.leftovers import end_leftovers, sole_supervisor
from stigmergy.local.process_spec import RUN, Patience, ProcessSpec
from stigmergy.local.records import SupervisorRecord, write_record
from stigmergy.local.stop_signals import stop_signals
from stigmergy.local.tail import tail, turn_over

_log = logging.getLogger("stigmergy.local")
_TICK_S = 0.5
_KILLED_S = 5.0
_RESERVED = frozenset({"nats", "valkey", "supervisor"})


class Ground(Protocol):
    """What the processes stand on. The methods may block; they are called in a thread."""

    def start(self) -> Mapping[str, str]:
        """Bring it up; the environment variables by which processes find it."""
        ...

    def mend(self) -> Sequence[str]:
        """Start again what has died; the names of it."""
        ...

    def stop(self) -> object: ...


class Supervisor:
    """One supervisor for one state directory.

    Children die with it, even by SIGKILL. SIGTERM, SIGHUP or Ctrl-C drains: SIGTERM to all, ``grace_s`` seconds, then
    SIGKILL; a second Ctrl-C does not wait.

    Args:
        state_dir: where logs and the record lie.
        ground: the servers, if they are in our hands.
        grace_s: seconds between SIGTERM and SIGKILL.
        patience: with crashing processes.
        run: the id of this run; a fresh one by default.
        on_ready: called once, when everything reported ready.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        ground: Ground | None = None,
        grace_s: float = 10.0,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        run: str | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        self._layout, self._ground, self._grace_s = Layout.at(state_dir), ground, grace_s
        self._patience, self._on_ready = patience, on_ready
        self._stop, self._kill, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._children: list[Child] = []
        me = marks.mark(os.getpid()) or marks.ProcessMark(pid=os.getpid(), birth="")
        self._record = SupervisorRecord(run=run or uuid4().hex, mark=me, phase="starting", started_at=time.time())

    async def run(self, specs: Sequence[ProcessSpec]) -> None:
        """Run until asked to stop, or until every process has ended for good (with none given: until asked).

        Call it in the main thread: signals arrive there, and children are bound to the thread that starts them.

        Raises:
            Unavailable: a process died or was late before all were ready, or all have died; with the end of its log.
            Conflict: another supervisor runs in this state directory.
            StigmergyError: what starting the servers raises.
        """
        _check(specs)
        self._layout.create()
        with sole_supervisor(self._layout), stop_signals(self._asked):
            end_leftovers(self._layout)
            try:
                self._enter("starting")
                await self._run(specs)
            except StigmergyError as error:
                self._enter("failed", note=error.message, hint=error.hint, code=error.code)
                raise
            self._enter("stopped")

    def stop(self) -> None:
        """Begin to drain, as SIGTERM does. For the thread of the event loop."""
        self._stop.set()

    async def _run(self, specs: Sequence[ProcessSpec]) -> None:
        if self._ground is None:
            return await self._supervise(specs, {})
        env = await asyncio.to_thread(self._ground.start)
        try:
            return await self._supervise(specs, env)
        finally:
            await asyncio.to_thread(self._ground.stop)

    async def _supervise(self, specs: Sequence[ProcessSpec], env: Mapping[str, str]) -> None:
        env = {**os.environ, **env, RUN: self._record.run}
        self._children = [Child(spec, self._layout, env, self._patience, self._tell) for spec in specs]
        tasks = [asyncio.create_task(child.keep()) for child in self._children]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        ticking = asyncio.create_task(self._tick())
        try:
            await self._until_ready(tasks)
            if not self._stop.is_set():
                self._enter("ready")
                if self._on_ready:
                    self._on_ready()
            await self._until_end(tasks)
        finally:
            ticking.cancel()
            await self._drain(tasks)

    async def _until_ready(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        while not self._stop.is_set():
            self._news.clear()
            for task in tasks:
                if task.done():
                    task.result()  # raises what went wrong in our own code
            needed = [child for child in self._children if not child.spec.optional]
            for child in needed:
                if child.record.state == "dead" or child.late:
                    raise _failed(child)
            if all(child.record.ready or child.record.state == "stopped" for child in needed):
                return
            await self._news.wait()

    async def _until_end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        asked = asyncio.create_task(self._stop.wait())
        waited: set[asyncio.Future[Any]] = {asked, *([asyncio.gather(*tasks)] if tasks else [])}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            dead = [child for child in self._children if child.record.state == "dead" and not child.spec.optional]
            if dead and not self._stop.is_set():
                raise _failed(dead[0])
        finally:
            asked.cancel()

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self._enter("stopping")
        for child in self._children:
            child.stop()
        at_once, ended = asyncio.create_task(self._kill.wait()), asyncio.gather(*tasks)
        waited: set[asyncio.Future[Any]] = {at_once, ended}
        await asyncio.wait(waited, timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        for child in self._children:
            child.kill()
        await asyncio.wait_for(ended, _KILLED_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                self._turn_logs_over()
                mended = await asyncio.to_thread(self._ground.mend) if self._ground else ()
            except StigmergyError as error:
                _log.error("cannot keep a server or a log: %s (%s)", error.message, error.hint)
                await asyncio.sleep(self._patience.most_s)
            else:
                for name in mended:
                    _log.warning("%s had died and was started again", name)

    def _turn_logs_over(self) -> None:
        for log in (*(child.log for child in self._children), self._layout.log("supervisor")):
            try:
                turn_over(log)
            except OSError as error:
                raise no_write(log, error) from error

    def _tell(self) -> None:
        for child, old in zip(self._children, self._record.processes, strict=False):
            if child.record.note and child.record.note != old.note:
                _log.warning("%s: %s, see %s", child.spec.name, child.record.note, child.log)
        self._enter(self._record.phase)

    def _enter(self, phase: str, **news: Any) -> None:
        if phase != self._record.phase:
            _log.info("supervisor %s %s", phase, news.get("note", ""))
        processes = tuple(child.record for child in self._children)
        self._record = self._record.model_copy(update={"phase": phase, "processes": processes, **news})
        try:
            write_record(self._layout.supervisor_file, self._record)
        except (DiskFull, Unavailable) as error:
            _log.error("the status is out of date: %s", error.message)  # no reason to end processes that run
        self._news.set()

    def _asked(self, number: signal.Signals) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            self._kill.set()
        self._stop.set()
        self._news.set()


def _check(specs: Sequence[ProcessSpec]) -> None:
    names = [spec.name for spec in specs]
    wrong = sorted({name for name in names if names.count(name) > 1 or name in _RESERVED})
    if wrong:
        raise InvalidInput(
            f"process names must be unique and not of a server: {', '.join(wrong)}",
            hint="give each process its own name",
        )


def _failed(child: Child) -> Unavailable:
    last = tail(child.log, 15)
    return Unavailable(
        f"{child.spec.name}: {child.record.note}" + (f"\n{last}" if last else ""), hint=f"see {child.log}"
    )
