"""``stig serve``: host roles in this process."""

from __future__ import annotations

import logging
import sys
import time
from typing import Annotated

import typer


def serve(
    roles: Annotated[
        list[str],
        typer.Argument(
            metavar="ROLE...", help="orchestrator, task-queue, archive, scaler, backlog, or: all.", show_default=False
        ),
    ],
) -> None:
    """Host one or several roles until SIGTERM or Ctrl-C.

    Any number of replicas of a role may run; they share the work. The archive runs once; of several
    scalers one works. Both are not part of all.
    Servers are those of STIGMERGY_NATS_URL and STIGMERGY_REDIS_URL, or the embedded ones of the working directory.

    \b
    Examples:
      stig serve all
      stig serve orchestrator
      stig serve archive
      STIGMERGY_NATS_URL=nats://queue.example:4222 stig serve task-queue
    """
    from stigmergy.serving import ROLES
    from stigmergy.serving import serve as host
    from stigmergy.settings import Settings

    settings = Settings()
    log_to_stderr(settings.log_level)
    chosen = ROLES if "all" in roles else tuple(dict.fromkeys(roles))
    host(chosen, settings)


def log_to_stderr(level: str) -> None:
    """Plain lines with the time in UTC, for people and for whatever collects logs."""
    logging.Formatter.converter = time.gmtime
    form = "%(asctime)sZ %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr, force=True)
