"""A thread in lockstep with the event loop: it runs only while the loop stands still and waits for it.

A worker's code is made for ordinary threads, which block on the bus. Here it keeps its thread, but the thread and the
loop hand a baton to one another: what the thread waits for is awaited by the loop, in virtual time. At every moment one
of the two runs, so the order of things depends on nothing but the seed.

Roads not taken: greenlets would be quicker, and one more dependency; the worker's code as coroutines would be other
code than what runs in a fleet.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.node import Node

_own = threading.local()


class Killed(BaseException):
    """The process of this thread is no more."""


class Lockstep:
    """The main thread of one simulated worker."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # Plain locks as batons: an exception that the watch raises in this thread must not hit one written in Python.
        self._turn, self._back = threading.Lock(), threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        self._given: tuple[str, Any] = ("end", None)
        self._wanted: tuple[str, Any] = ("end", None)
        self._killed = False
        self._thread = threading.Thread(target=self._main, name=node.name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], Any]) -> Any:
        """Do ``work`` in the thread; what it waits for is awaited here. Raises what it raises.

        Cancelled, it kills the thread: whatever it was waiting for never comes.
        """
        kind, value = self._hand("work", work)
        try:
            while kind == "await":
                try:
                    given = ("value", await value())
                except Exception as error:  # noqa: BLE001 - it belongs to whoever waits in the thread
                    given = ("error", error)
                kind, value = self._hand(*given)
        except asyncio.CancelledError:
            self.kill()
            raise
        if kind == "failed":
            raise value
        return value

    def wait(self, wanted: Callable[[], Awaitable[Any]]) -> Any:
        """Called in the thread: have the loop await something."""
        if self._killed:
            raise Killed
        self._wanted = ("await", wanted)
        self._back.release()
        self._turn.acquire()
        kind, value = self._given
        if kind == "kill":
            raise Killed
        if kind == "error":
            raise value
        return value

    def kill(self) -> None:
        """End the thread, wherever it is. Nothing it does on the way out reaches anybody."""
        if self._killed:
            return
        self._killed = True
        kind, _ = self._hand("kill", None)
        while kind != "end":
            kind, _ = self._hand("kill", None)
        self._thread.join()

    def _hand(self, kind: str, value: Any) -> tuple[str, Any]:
        self._given = (kind, value)
        with self._node.running():
            self._turn.release()
            self._back.acquire()
        return self._wanted

    def _main(self) -> None:
        _own.lockstep = self
        while True:
            self._turn.acquire()
            kind, work = self._given
            if kind == "kill":
                break
            try:
                self._wanted = ("done", work())
            except BaseException as error:  # noqa: BLE001 - handed to the loop
                self._wanted = ("failed", error)
            self._back.release()
        self._wanted = ("end", None)
        self._back.release()


def pause(seconds: float) -> None:
    """Sleep, in a thread that runs in lockstep: for ``time.sleep``."""
    if (mine := getattr(_own, "lockstep", None)) is None:
        time.sleep(seconds)  # a thread that another test has left behind
        return
    mine.wait(lambda: asyncio.sleep(seconds))
