"""Our processes as they are used for real: ``python -m benchmarks.hosting roles ROLE… | workers N``.

Settings come from ``STIGMERGY_*``. ``--profile FILE`` puts roles under cProfile and writes the statistics at the end.
"""

from __future__ import annotations

import argparse
import cProfile
import logging
import sys
import time
from collections.abc import Sequence

from stigmergy.roles import everywhere
from stigmergy.serving import serve
from stigmergy.settings import Settings
from stigmergy.wiring import worker_settings
from workers.celery_app import run_pool


def main(argv: Sequence[str] | None = None) -> int:
    """Host until SIGTERM. Returns the exit code."""
    options = _parser().parse_args(argv)
    settings = Settings()
    logging.basicConfig(level="WARNING")
    if options.what == "roles":
        return _roles(options.roles, settings, options.profile)
    pool = worker_settings(settings, skills=("echo",), imports=(), sandbox=None, may_exit=options.kind == "prefork")
    return run_pool(pool, concurrency=options.concurrency, pool=options.kind)


def _roles(roles: Sequence[str], settings: Settings, profile: str | None) -> int:
    if profile is None:
        serve(roles, settings)
        return 0
    # By processor time: a role waits most of its time, and that is not what is looked for.
    profiler = cProfile.Profile(time.process_time)
    try:
        profiler.runcall(serve, roles, settings)
    finally:
        profiler.dump_stats(profile)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.hosting")
    what = parser.add_subparsers(dest="what", required=True)
    roles = what.add_parser("roles")
    roles.add_argument("roles", nargs="+", choices=everywhere())
    roles.add_argument("--profile")
    workers = what.add_parser("workers")
    workers.add_argument("concurrency", type=int)
    workers.add_argument("--kind", choices=("prefork", "threads"), default="prefork")
    return parser


if __name__ == "__main__":
    sys.exit(main())
