"""Stopping an attempt: by the reflex, by its own timeout, and against its will."""

from __future__ import annotations

import ctypes
import threading

from schemas.errors import Cancelled, Overdrawn, StigmergyError, Stopped, TimedOut


class AttemptStopped(BaseException):
    """Raised inside an agent that did not stop when it was told to. No ``except Exception`` of its can hold it up."""


class StopFlag:
    """Whether one attempt is to stop, and why. Set from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: StigmergyError | None = None

    def cancel(self, reason: str) -> None:
        """Stop because somebody asked."""
        self._set(Cancelled(f"stopped: {reason}" if reason else "stopped"))

    def stop(self, reason: str) -> None:
        """Stop because of the reflex: the attempt will not count."""
        self._set(Stopped(f"stopped: {reason}" if reason else "stopped"))

    def time_out(self, seconds: float) -> None:
        """Stop because time is up."""
        self._set(TimedOut(f"the attempt ran longer than {seconds:g} s"))

    def exceed(self, error: Overdrawn) -> None:
        """Stop because it has used more than it may."""
        self._set(error)

    def _set(self, error: StigmergyError) -> None:
        if self._error is None:
            self._error = error
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    @property
    def error(self) -> StigmergyError | None:
        """Why it is to stop."""
        return self._error

    def check(self) -> None:
        """Raise the reason if the attempt is to stop."""
        if self._error is not None:
            raise self._error


def interrupt(thread: int) -> None:
    """Raise :class:`AttemptStopped` in a thread, at its next Python instruction.

    ``PyThreadState_SetAsyncExc`` cannot end a call into C; what hangs there is ended with the process.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(AttemptStopped))
