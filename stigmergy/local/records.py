"""What the state files hold: which server and which process runs where. Written whole, read by any other process."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from stigmergy.local.layout import write_private
from stigmergy.local.marks import ProcessMark

State = Literal["running", "restarting", "stopped", "dead"]
"""``stopped``: ended as wished. ``dead``: ended otherwise, and nobody starts it again."""
Phase = Literal["starting", "ready", "stopping", "stopped", "failed"]

_log = logging.getLogger("stigmergy.local")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerRecord(_Record):
    """One embedded server. ``started_at`` is in seconds since 1970."""

    mark: ProcessMark
    port: int
    started_at: float
    restarts: int = 0


class StackRecord(_Record):
    """``stack.json``. Ports outlive a stop: clients find the same address after a restart."""

    servers: dict[str, ServerRecord] = {}
    ports: dict[str, int] = {}


class ChildRecord(_Record):
    """One supervised process, as its supervisor last saw it."""

    name: str
    state: State
    mark: ProcessMark | None = None
    started_at: float | None = None
    restarts: int = 0
    ready: bool = False
    endpoint: str = ""
    log: str = ""
    note: str = ""


class SupervisorRecord(_Record):
    """``supervisor.json``. ``run`` is in the environment of every process of this supervisor."""

    run: str
    mark: ProcessMark
    phase: Phase
    started_at: float
    note: str = ""
    """Why it failed, with ``hint`` and ``code`` those of the error."""
    hint: str = ""
    code: str = ""
    processes: tuple[ChildRecord, ...] = ()


def read_record[R: BaseModel](path: Path, kind: type[R]) -> R | None:
    """The record in ``path``; None if there is none or if it cannot be read, which is logged.

    An unreadable record is no reason to refuse a start: servers are also found by their command line, processes by
    their environment.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        _log.warning("ignoring %s, which is not a state file of this release: %s", path, error)
        return None


def write_record(path: Path, record: BaseModel) -> None:
    """Replace ``path``, mode 0600, atomically. Raises DiskFull or Unavailable."""
    write_private(path, record.model_dump_json(indent=1))
