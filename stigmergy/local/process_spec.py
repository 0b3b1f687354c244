"""What the supervisor is told about one process, and how patient it is with a crashing one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

READY_FILE = "STIGMERGY_READY_FILE"
"""A process with ``ready="file"`` touches the file that this variable names when it can do its work."""

RUN = "STIGMERGY_RUN"
"""Which run of a supervisor a process belongs to; its children inherit it, and so are found after a crash."""


class ProcessSpec(BaseModel):
    """One process to keep running. It gets the environment of the supervisor, the URLs of the servers, and ``env``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """Unique; also the name of its log. ``nats``, ``valkey`` and ``supervisor`` are taken."""
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    env: dict[str, str] = {}
    cwd: Path | None = None
    restart: Literal["always", "on-failure", "never"] = "always"
    """``on-failure``: an exit status of 0 is the end of it. ``never``: any exit is."""
    ready: Literal["started", "file"] = "started"
    """``file``: when it has touched ``$STIGMERGY_READY_FILE``. ``started``: when it has lived for half a second."""
    ready_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """Counted from its first start; being late fails the whole start."""
    optional: bool = False
    """Nobody waits for it, and its end is not the end of the others: it is told in the status."""
    endpoint: str = ""
    """Where it answers, for people to read in the status."""


@dataclass(frozen=True)
class Patience:
    """How a crashing process is started again: after ``first_s``, then ``factor`` times as long, up to ``most_s``.

    A life shorter than ``quick_s`` seconds is a quick crash; after ``quick_crashes`` of them in a row the supervisor
    gives up. A longer life makes good for all crashes before it.
    """

    first_s: float = 0.2
    factor: float = 2.0
    most_s: float = 10.0
    quick_s: float = 10.0
    quick_crashes: int = 5

    def delay_s(self, crashes: int) -> float:
        """Seconds to wait after the ``crashes``-th quick crash in a row (0: it had lived long)."""
        return min(self.most_s, self.first_s * self.factor ** max(0, crashes - 1))
