"""The processes of a stack on one machine: both roles in one, and a pool of workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stigmergy.local.leash import leashed
from stigmergy.local.process_spec import ProcessSpec
from stigmergy.settings import Settings

_PROGRAM = str(Path(__file__).resolve().with_name("__main__.py"))


def default_workers() -> int:
    """One attempt for each processor this process may use, but two at least: one slow task shall not block all."""
    return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)


def stack_processes(workers: int, imports: Sequence[str] = ()) -> tuple[ProcessSpec, ...]:
    """What ``stig dev`` keeps running, in the present working directory: modules of the user's lie there."""
    pool = ["workers", "start", "--concurrency", str(workers)]
    for module in imports:
        pool += ["--import", module]
    return (
        ProcessSpec(name="roles", argv=_stig("serve", "all"), ready="file", cwd=Path.cwd()),
        ProcessSpec(name="workers", argv=_stig(*pool), ready="file", cwd=Path.cwd()),
    )


def _stig(*arguments: str) -> tuple[str, ...]:
    # -P: the working directory is often somebody's repository, and a schemas.py there must not be taken for ours.
    return (sys.executable, "-P", _PROGRAM, *arguments)


def pool_process(settings: Settings, skill: str, size: int, name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments and environment of a pool for one skill that ends when this process does."""
    argv = _stig("workers", "start", "--skills", skill, "--concurrency", str(size), "--name", name)
    environment = {**os.environ, **settings.environment()}
    environment.pop("STIGMERGY_READY_FILE", None)
    return leashed(argv), environment
