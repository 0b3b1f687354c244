"""``python …/stigmergy/cli/__main__.py``: how ``stig dev`` starts its processes, installed or from a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

_HOME = str(Path(__file__).resolve().parents[2])
if _HOME not in sys.path:
    sys.path.insert(0, _HOME)

if __name__ == "__main__":
    from stigmergy.cli.main import run

    sys.exit(run())
