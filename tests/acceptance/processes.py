"""What these tests start: ``python -m tests.acceptance.processes roles NAMES``, or ``pool CONCURRENCY IMPORTS [HOW]``.

Lists are separated by commas; HOW is JSON, the arguments of ``worker_settings``, the ``kind``, and ``host``, what the
machine shall be called. The servers come from ``STIGMERGY_*``, as for everybody else.
"""

from __future__ import annotations

import json
import logging
import socket
import sys

from stigmergy.serving import serve
from stigmergy.settings import Settings
from stigmergy.wiring import worker_settings
from workers.celery_app import run_pool


def main(kind: str, *arguments: str) -> int:
    """Serve roles, or run a pool of workers, until told to stop."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("kombu", "celery"):
        logging.getLogger(noisy).setLevel("WARNING")
    if kind == "roles":
        serve(arguments[0].split(","), Settings())
        return 0
    imports = tuple(name for name in arguments[1].split(",") if name)
    how = json.loads(arguments[2]) if len(arguments) > 2 else {}
    kind = how.pop("kind", "prefork")
    if host := how.pop("host", ""):
        socket.gethostname = lambda: host
    how = {"skills": None, "imports": imports, "sandbox": None, "may_exit": kind == "prefork", **how}
    how["skills"] = tuple(how["skills"]) if how["skills"] else None
    return run_pool(worker_settings(Settings(), **how), concurrency=int(arguments[0]), pool=kind, log_level="WARNING")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
