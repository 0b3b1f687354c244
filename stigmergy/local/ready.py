"""How a process tells its supervisor that it can do its work."""

from __future__ import annotations

import os
from pathlib import Path

from stigmergy.local.process_spec import READY_FILE


def report_ready() -> None:
    """Touch the file that ``STIGMERGY_READY_FILE`` names; does nothing without a supervisor."""
    name = os.environ.get(READY_FILE)
    if name:
        Path(name).touch()
