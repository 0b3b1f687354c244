"""The processes of a stack on one machine: the deciding roles in one, the read models in one, and a pool of workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import InvalidInput, ToolMissing
from stigmergy.local.leash import leashed
from stigmergy.local.process_spec import ProcessSpec
from stigmergy.roles import ROLES, Needs
from stigmergy.settings import Settings

_PROGRAM = str(Path(__file__).resolve().with_name("__main__.py"))


def default_workers() -> int:
    """One attempt for each processor this process may use, but two at least: one slow task shall not block all."""
    return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)


def stack_processes(workers: int, imports: Sequence[str] = (), beside: Sequence[str] = ()) -> tuple[ProcessSpec, ...]:
    """What ``stig dev`` keeps running, in the present working directory: modules of the user's lie there.

    Args:
        workers: attempts at once.
        imports: modules with agents.
        beside: roles besides those of ``stig serve all``. They share a process, for each alone would cost 60 MB; it is
            not that of the deciding roles, which must not wait while a file is compressed. Nobody waits for it.
    """
    pool = ["workers", "start", "--concurrency", str(workers)]
    for module in imports:
        pool += ["--import", module]
    processes = (
        ProcessSpec(name="roles", argv=_stig("serve", "all"), ready="file", cwd=Path.cwd()),
        ProcessSpec(name="workers", argv=_stig(*pool), ready="file", cwd=Path.cwd()),
    )
    if not beside:
        return processes
    argv = _stig("serve", "--stay", *beside)
    return (*processes, ProcessSpec(name="read-models", argv=argv, ready="file", cwd=Path.cwd(), optional=True))


@dataclass(frozen=True, slots=True)
class Beside:
    """``chosen``: the roles besides those of ``stig serve all``. ``missing``: those left out, and what they lack."""

    chosen: tuple[str, ...]
    missing: tuple[tuple[str, Needs], ...]


def beside(settings: Settings, wanted: Sequence[str] = (), unwanted: Sequence[str] = ()) -> Beside:
    """Which roles run besides: all whose packages are installed, without the unwanted.

    Raises:
        InvalidInput: a name is no such role, or is both.
        ToolMissing: a wanted one lacks its packages.
    """
    offered = {role.name: role.needs(settings) for role in ROLES.values() if role.reads and not role.everywhere}
    for name in (*wanted, *unwanted):
        if name not in offered:
            raise InvalidInput(f"there is no optional role {name!r}", hint=f"there are: {', '.join(offered)}")
        if name in wanted and name in unwanted:
            raise InvalidInput(f"{name} is asked for and left out", hint="say one of both")
    for name in wanted:
        if offered[name].missing:
            raise ToolMissing(f"{name} needs {', '.join(offered[name].missing)}", hint=offered[name].mend)
    left = {name: needs for name, needs in offered.items() if name not in unwanted}
    return Beside(
        tuple(name for name, needs in left.items() if not needs.missing),
        tuple((name, needs) for name, needs in left.items() if needs.missing),
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
