"""A stack for the time of one command: the running one, or one of its own that is stopped afterwards.

Several commands may use such a stack at once; whoever is last to leave stops it. Each holds a shared lock on one file,
which the kernel drops with the process. A marker tells a stack that was started for commands from one that a person
started, which is never stopped here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path

    from stigmergy.local import LocalStack
    from stigmergy.settings import Settings

_PATIENCE_S = 45.0


@contextmanager
def running_stack(settings: Settings, say: Callable[[str], None]) -> Iterator[bool]:
    """Make sure that a stack runs for the block; True if it is one of our own. Raises what ``LocalStack.up`` raises."""
    if settings.nats_url is not None:
        yield False
        return
    from stigmergy.local import LocalStack
    from stigmergy.local.layout import Layout

    layout = Layout.at(settings.state_dir)
    layout.create()
    stack, marker = LocalStack(settings), _marker(settings)
    _end_well_on_sigterm()
    hold = os.open(layout.root / "commands.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(hold, fcntl.LOCK_SH)  # waits only while the last one stops the stack: that is bounded
        if not _is_up(stack):
            _start(stack, marker, say)
        yield marker.exists()
    finally:
        _leave(hold, stack, marker)


def _end_well_on_sigterm() -> None:
    """By default SIGTERM ends Python at once, and the stack would stay."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)


def now_for_good(settings: Settings) -> None:
    """What runs in this state directory is no longer ours to stop."""
    _marker(settings).unlink(missing_ok=True)


def _start(stack: LocalStack, marker: Path, say: Callable[[str], None]) -> None:
    from stigmergy.cli.processes import default_workers, stack_processes

    say("[dim]no stack runs here: starting one for this command, and stopping it afterwards[/]")
    try:
        marker.touch(mode=0o600)
        stack.up(stack_processes(default_workers()), detach=True)
    except Conflict:  # another command is starting one at this moment
        deadline = time.monotonic() + _PATIENCE_S
        while not _is_up(stack):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    except BaseException:
        marker.unlink(missing_ok=True)
        raise


def _leave(hold: int, stack: LocalStack, marker: Path) -> None:
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if marker.exists():
            stack.down()
            marker.unlink(missing_ok=True)
    except BlockingIOError:
        return  # another command still works with it, and stops it when it leaves
    finally:
        os.close(hold)


def _is_up(stack: LocalStack) -> bool:
    return any(row.kind == "supervisor" and row.ready for row in stack.status())


def _marker(settings: Settings) -> Path:
    return settings.state_dir / "for-commands"
