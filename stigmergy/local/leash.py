"""Run a program that may not outlive its parent: ``python -I -S leash.py PARENT_PID PROGRAM ARGUMENT…``.

On Linux the kernel is asked to kill this process when its parent ends, however it ends, and then the program takes this
process over; the wish survives ``exec``. It costs 25 ms once and leaves no process in between. Roads not taken:
``preexec_fn`` (runs Python between fork and exec and may deadlock in a process with threads), ``setpriv --pdeathsig``
(is not everywhere). Elsewhere than on Linux it only runs the program: there, what a killed supervisor leaves is found
by the next ``up`` or ``down``, as children carry the run in their environment.

The kernel means the thread that started the child: start children from a thread that lives as long as the process.
It is a script and imports nothing of ours, to start fast.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127  # what shells answer, too


def leashed(argv: tuple[str, ...]) -> tuple[str, ...]:
    """``argv`` behind the leash, for a child of this process."""
    return (sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *argv)


def main(parent: int, argv: list[str]) -> int:
    """Bind this process to ``parent`` and become ``argv``; returns, with an exit status, only if that failed."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.stderr.write(f"cannot bind {argv[0]} to its parent: {os.strerror(ctypes.get_errno())}\n")
        return _NOT_STARTED
    if os.getppid() != parent:  # it died before the wish was made
        return _NOT_STARTED
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
    return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
