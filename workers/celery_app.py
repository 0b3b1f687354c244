"""The Celery side of a worker: one task, which makes the attempts of one message.

Messages are acknowledged late. A message that comes twice is harmless, because every attempt is claimed on the log; a
message that never comes again is harmless too, because leases decide, not Celery's visibility timeout.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery
from celery.signals import (
    worker_before_create_process,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from schemas.celery_wire import ATTEMPTS_TASK, celery_settings
from schemas.errors import StigmergyError
from schemas.ids import process_name
from workers.bench import Bench
from workers.board import Board
from workers.notebook import Notebook
from workers.pool_step import PoolStep
from workers.process import WorkerProcess, WorkerSettings
from workers.registry import Registry
from workers.vouching import Vouching
from workers.workspaces import MemoryBlobs

_log = logging.getLogger(__name__)
_SETTINGS = "STIGMERGY_WORKER"
EXIT_OVERDUE = 76
_LOOK_S = 0.25
_LAST_WORDS_S = 5.0
_board = Board()
_notebook = Notebook()
_vouching: list[Vouching] = []
_members: list[WorkerProcess] = []
_free: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
"""The workers of this process that have nothing in hand: one, or in a pool of threads as many as there are threads."""


def make_app(settings: WorkerSettings, profile: str) -> Celery:
    """The Celery application of a pool; pool children find their settings in the environment.

    Args:
        profile: of its workers; what they learn is read from a queue of it, too.
    """
    app = Celery("stigmergy", set_as_current=True)
    app.conf.update(celery_settings(settings.redis_url))
    app.conf.update(
        broker_transport="workers.transport:Transport",
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_max_memory_per_child=settings.memory_mb * 1024 or None,  # KiB
        worker_enable_remote_control=False,
        broker_connection_max_retries=None,
        broker_connection_retry=True,
    )
    app.task(name=ATTEMPTS_TASK, ignore_result=True)(_attempts)
    PoolStep.board, PoolStep.memory_mb = _board, settings.memory_mb
    PoolStep.notebook, PoolStep.profile = _notebook, profile
    app.steps["worker"].add(PoolStep)
    return app


def _attempts(orders: Sequence[str], standby_s: float = 0.0) -> None:
    if not _members:
        raise StigmergyError("this process has not joined the fleet")
    member = _free.get()
    try:
        member.make(orders, standby_s)
    finally:
        _free.put(member)


def run_pool(settings: WorkerSettings, *, concurrency: int, pool: str = "prefork", log_level: str = "WARNING") -> int:
    """Run a pool until it is told to stop (SIGTERM or Ctrl-C drain it). Returns the exit code.

    Args:
        concurrency: how many attempts at once.
        pool: Celery's pool: ``prefork`` (a process each), ``threads`` (a thread each: many attempts that wait, in
            little memory; what hangs in C ends only with the whole process) or ``solo`` (this thread, one at a time).
    """
    concurrency = 1 if pool == "solo" else concurrency
    settings = replace(settings, pool=settings.pool or process_name(), kind=pool, size=concurrency)
    os.environ[_SETTINGS] = json.dumps(asdict(settings))
    # Before forking, so that a mistake is one clear error instead of a child that dies again and again.
    registry = Registry(settings.imports, settings.skills)
    Bench(Path(settings.state_dir), MemoryBlobs()).sweep()
    # Celery tells of every message at INFO; what an attempt did is on the log.
    for chatty in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _vouching[:] = [Vouching()]
    _vouching[0].start(settings.nats_url, settings.heartbeat_s)
    _leave_when_told()
    app = make_app(settings, registry.profile(settings.labels, pool))
    queues = ",".join(registry.queues(settings.labels, pool))
    arguments = [
        "worker",
        f"--queues={queues}",
        f"--concurrency={concurrency}",
        f"--pool={pool}",
        f"--loglevel={log_level}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        f"--hostname=stig-{os.getpid()}@%h",
    ]
    try:
        app.worker_main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        _leave()
    return 0


def _leave_when_told() -> None:
    """Until Celery has handlers of its own, a second after the start: nothing was taken yet, so the pool just ends.

    A worker of a pool without children is seen in the fleet before that; whoever sees it may well tell it to end.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _settings() -> WorkerSettings:
    fields: dict[str, Any] = json.loads(os.environ[_SETTINGS])
    for name in ("skills", "imports"):
        if fields[name] is not None:
            fields[name] = tuple(fields[name])
    return WorkerSettings(**fields)


def _join(**_: object) -> None:
    settings = _settings()
    try:
        for _number in range(settings.size if settings.kind == "threads" else 1):
            member = WorkerProcess(settings, _board, *_vouching, notebook=_notebook)
            member.join()
            _members.append(member)
            _free.put(member)
    except StigmergyError as error:
        _log.error("cannot join the fleet: %s. %s", error.message, error.hint)
        sys.exit(1)
    threading.Thread(target=_watch_grace, name="grace", daemon=True).start()


def _leave(**_: object) -> None:
    while _members:
        _members.pop().leave("drained")


def _share_memory(**_: object) -> None:
    """Before a fork: a collector that leaves what is there already alone does not write to its pages, which therefore
    stay one copy for all children."""
    gc.collect()
    gc.freeze()


def _join_in_main(sender: Any = None, **_: object) -> None:
    # Pools without child processes run attempts in this one.
    if sender is not None and not getattr(sender.pool_cls, "__module__", "").endswith("prefork"):
        _join()


def _drain(**_: object) -> None:
    """Celery was told to end, by a signal or by one of our own: from now on the grace runs."""
    settings = _settings()
    _board.drain(settings.grace_s)
    if settings.kind == "prefork":  # the others watch over themselves
        threading.Thread(target=_watch_grace, args=(_LAST_WORDS_S,), name="grace", daemon=True).start()


def _watch_grace(longer_s: float = 0.0) -> None:
    """Once the pool drains and its grace is over: hand on what the workers of this process have in hand, and end it."""
    while _board.overdue_s() < longer_s:
        time.sleep(_LOOK_S)
    _log.warning("the grace is over; what still runs goes to others")
    while _members:
        _members.pop().give_up()
    os._exit(EXIT_OVERDUE)


def _ready(**_: object) -> None:
    if marker := os.environ.get("STIGMERGY_READY_FILE"):
        Path(marker).touch()


worker_before_create_process.connect(_share_memory, weak=False)
worker_process_init.connect(_join, weak=False)
worker_process_shutdown.connect(_leave, weak=False)
worker_init.connect(_join_in_main, weak=False)
worker_shutdown.connect(_leave, weak=False)
worker_ready.connect(_ready, weak=False)
worker_shutting_down.connect(_drain, weak=False)
