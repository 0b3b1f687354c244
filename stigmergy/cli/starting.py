"""What one sees while a stack starts: a line for each part that is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stigmergy.local import LocalStack

_LOOK_S = 0.1


@contextmanager
def told_progress(stack: LocalStack, say: Callable[[str], None]) -> Iterator[None]:
    """Say which parts are ready, each once, for the time of the block; the last look is after its end."""
    seen: set[str] = set()
    began = time.monotonic()
    old = {row.pid for row in stack.status() if row.ready and row.kind != "server"}
    over = threading.Event()

    def look() -> None:
        for row in stack.status():
            if row.ready and row.kind != "supervisor" and row.name not in seen and row.pid not in old:
                seen.add(row.name)
                where = row.endpoint.rpartition("@")[2] or f"pid {row.pid}"
                say(f"  [green]✓[/] {row.name:<12}[dim]{where:<18} {time.monotonic() - began:5.1f}s[/]")

    def keep_looking() -> None:
        while not over.wait(_LOOK_S):
            look()

    watcher = threading.Thread(target=keep_looking, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    look()
