"""Sealing the simulation off: no real clock, no entropy, no thread of its own.

Production code takes its clock as an argument where it decides. Where it only measures or names (ids, the worker's
watch), it asks modules; for the time of a run those modules are replaced here, in the namespaces of those who ask.
That the list is complete is proved by the test that a seed always gives the same bytes.
"""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any

import events.memory
import orchestrator.task_queue.standby
import schemas.ids
import workers.account
import workers.attempt
import workers.context
import workers.reporting
import workers.standby
import workers.watch
from tests.simulation.lockstep import pause
from tests.simulation.node import Node
from tests.simulation.virtual_time import BEGIN, clock

STANDBY_S = 0.2
"""How long a worker stands by here, where the log takes longer."""


class _NoThread:
    """The watch's own thread: the simulated worker looks after it instead."""

    def __init__(self, **_: Any) -> None:
        pass

    def start(self) -> None:
        """Never runs."""


class _Calendar(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        here = Node.here
        return (here.clock() if here is not None else clock()).astimezone(tz or UTC)


def _monotonic() -> float:
    if Node.here is None and threading.current_thread() is not threading.main_thread():
        return real_time.monotonic()  # a thread that another test has left behind
    assert Node.here is not None, "somebody asks for the time who is no process of the simulation"
    return Node.here.monotonic()


@contextmanager
def sealed(seed: int, now: Callable[[], float]) -> Iterator[None]:
    """Everything in the block that names or measures does so by the seed and by virtual time."""
    chance = Random(f"{seed}/ids")
    time = SimpleNamespace(
        monotonic=_monotonic, sleep=pause, time_ns=lambda: int((BEGIN.timestamp() + now()) * 1_000_000_000)
    )
    places: list[tuple[Any, str, Any]] = [
        (schemas.ids, "time", time),
        (schemas.ids, "secrets", SimpleNamespace(randbits=chance.getrandbits)),
        (workers.attempt, "time", time),
        (workers.context, "time", time),
        (workers.standby, "time", time),
        (workers.watch, "time", time),
        (orchestrator.task_queue.standby, "STANDBY_S", STANDBY_S),
        (workers.account, "_thread_s", lambda _thread: 0.0),
        (
            workers.watch,
            "threading",
            SimpleNamespace(Thread=_NoThread, Lock=threading.Lock, get_ident=threading.get_ident),
        ),
        (workers.watch, "os", SimpleNamespace(_exit=_exit)),
        (workers.reporting, "datetime", _Calendar),
        (events.memory, "datetime", _Calendar),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _exit(_code: int) -> None:
    assert Node.here is not None
    Node.here.die()
