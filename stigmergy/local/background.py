"""The program of a detached supervisor; its order comes through standard input."""

from __future__ import annotations

import logging
import sys
import time

from schemas.errors import StigmergyError
from stigmergy.local import LocalStack
from stigmergy.local.detached import Order
from stigmergy.settings import Settings


def main() -> None:
    """Supervise until asked to stop; exit status 1 if the start failed. Its log is standard error."""
    order = Order.model_validate_json(sys.stdin.read())
    settings = Settings(**order.settings)
    logging.Formatter.converter = time.gmtime
    form = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=settings.log_level, format=form, stream=sys.stderr)
    try:
        LocalStack(settings, quick_crashes=order.quick_crashes).up(order.processes, run=order.run)
    except StigmergyError as error:
        sys.exit(f"{error.message} ({error.hint})")
