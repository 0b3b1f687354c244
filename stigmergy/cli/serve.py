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
            metavar="ROLE...",
            help="orchestrator, task-queue, world, archive, analytics, scaler, backlog, or: all.",
            show_default=False,
        ),
    ],
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay when the only read model fails; `stig projections list` tells of it.")
    ] = False,
) -> None:
    """Host one or several roles until SIGTERM or Ctrl-C.

    Any number of replicas of a role may run; they share the work (of the world, one writes and the others stand by).
    all are the deciding roles: orchestrator and task-queue. Read models are named; archive and analytics run once.
    Of several scalers one works.
    Servers are those of STIGMERGY_NATS_URL and STIGMERGY_REDIS_URL, or the embedded ones of the working directory.

    \b
    Examples:
      stig serve all
      stig serve orchestrator
      stig serve world archive analytics
      stig serve all world
      STIGMERGY_NATS_URL=nats://queue.example:4222 stig serve task-queue
    """
    from stigmergy.roles import everywhere
    from stigmergy.serving import serve as host
    from stigmergy.settings import Settings

    settings = Settings()
    log_to_stderr(settings.log_level)
    named = [one for name in roles for one in (everywhere() if name == "all" else (name,))]
    chosen = tuple(dict.fromkeys(named))
    host(chosen, settings, stay=stay)


def log_to_stderr(level: str) -> None:
    """Plain lines with the time in UTC, for people and for whatever collects logs."""
    logging.Formatter.converter = time.gmtime
    form = "%(asctime)sZ %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr, force=True)
