"""One supervised process: started on a leash, watched, started again, ended with everything it started itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from stigmergy.local import marks
from stigmergy.local.layout import Layout
from stigmergy.local.leash import leashed
from stigmergy.local.process_spec import READY_FILE, Patience, ProcessSpec
from stigmergy.local.records import ChildRecord

_SETTLED_S = 0.5
_LOOK_S = 0.02


class Child:
    """Keeps one :class:`ProcessSpec` running until :meth:`stop`; ``changed`` is called whenever ``record`` is new."""

    def __init__(
        self, spec: ProcessSpec, layout: Layout, env: Mapping[str, str], patience: Patience, changed: Callable[[], None]
    ) -> None:
        self.spec, self.log = spec, layout.log(spec.name)
        self.late = False
        self.record = ChildRecord(name=spec.name, state="restarting", endpoint=spec.endpoint, log=str(self.log))
        self._ready_file = layout.ready / spec.name
        self._env = {**env, **spec.env, READY_FILE: str(self._ready_file)}
        self._patience, self._changed = patience, changed
        self._stopping = asyncio.Event()
        self._process: Process | None = None

    async def keep(self) -> None:
        """Run it, again and again as its policy says; returns when it has ended for good (``stopped`` or ``dead``)."""
        watch = asyncio.create_task(self._watch_lateness())
        crashes = 0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                status = await self._live_once()
                crashes = crashes + 1 if time.monotonic() - began < self._patience.quick_s else 0
                if self._is_final(status, crashes):
                    return
                self._set(state="restarting", restarts=self.record.restarts + 1, note=_told(status))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._patience.delay_s(crashes))
            self._set(state="stopped", mark=None)
        finally:
            watch.cancel()

    def stop(self) -> None:
        """SIGTERM, and no new start. Only the process itself gets it: whether its children end at once or finish their
        work first (as those of Celery do) is its own business."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL for it and everything in its process group."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def _live_once(self) -> int | str:
        self._ready_file.unlink(missing_ok=True)
        try:
            with self.log.open("ab") as log:
                self._process = process = await asyncio.create_subprocess_exec(
                    *leashed(self.spec.argv),
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    env=self._env,
                    cwd=self.spec.cwd,
                    start_new_session=True,  # a group of its own, and Ctrl-C at the terminal reaches only us
                )
        except OSError as error:
            return f"cannot be started: {error}"
        self._set(state="running", mark=marks.mark(process.pid), started_at=time.time(), note="")
        if self._stopping.is_set():  # asked to stop while it was being started
            process.terminate()
        watch = asyncio.create_task(self._watch_ready())
        try:
            return await process.wait()
        finally:
            watch.cancel()
            # What it leaves in its group would hold ports and files against its successor. The number cannot be a
            # stranger's yet: it was given back this instant.
            _kill_group(process.pid)

    async def _watch_ready(self) -> None:
        if self.spec.ready == "started":
            await asyncio.sleep(_SETTLED_S)
        else:
            while not self._ready_file.exists():  # noqa: ASYNC110 - a file wakes nobody on every system
                await asyncio.sleep(_LOOK_S)
        self._set(ready=True)

    async def _watch_lateness(self) -> None:
        await asyncio.sleep(self.spec.ready_timeout_s)
        if not self.record.ready:
            self.late = True
            self._set(note=f"not ready within {self.spec.ready_timeout_s:g} s")

    def _is_final(self, status: int | str, crashes: int) -> bool:
        self._set(ready=False, mark=None)
        if self._stopping.is_set():
            self._set(state="stopped", note="")
        elif self.spec.restart == "never" or (self.spec.restart == "on-failure" and status == 0):
            self._set(state="dead" if status else "stopped", note=_told(status))
        elif crashes >= self._patience.quick_crashes:
            note = f"given up: {_told(status)}, {crashes} times within {self._patience.quick_s:g} s of its start"
            self._set(state="dead", note=note)
        else:
            return False
        return True

    def _set(self, **news: Any) -> None:
        self.record = self.record.model_copy(update=news)
        self._changed()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody left; macOS says so by the second
        os.killpg(pid, signal.SIGKILL)


def _told(status: int | str) -> str:
    if isinstance(status, str):
        return status
    return f"exit status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"
