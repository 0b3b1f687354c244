"""The signals by which a person or the system asks a foreground program to stop."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals(asked: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call ``asked`` in the event loop for SIGINT, SIGTERM and SIGHUP during the block.

    SIGHUP only if it was not ignored: under ``nohup`` it is, and that is a wish. Outside the main thread nothing is
    done: signals arrive there, and the program that has the main thread handles them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, numbers = asyncio.get_running_loop(), [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, asked, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
