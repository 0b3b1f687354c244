"""How a command ends: its exit code, and what it says about an error."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from schemas.errors import InvalidInput, StigmergyError, Unavailable

DONE = 0
FAILED = 1
BAD_INPUT = 2
UNAVAILABLE = 3
INTERRUPTED = 130

CODES_HELP = "Exit codes: 0 done, 1 failed, 2 bad input, 3 something is not available, 130 interrupted."


def exit_code_of(error: StigmergyError) -> int:
    """2 for what the caller can mend in the input, 3 for what is not there, 1 for the rest."""
    if isinstance(error, InvalidInput):
        return BAD_INPUT
    return UNAVAILABLE if isinstance(error, Unavailable) else FAILED


def tell(message: str, hint: str = "") -> None:
    """Two lines on standard error: what went wrong, and what would mend it."""
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def tell_error(error: StigmergyError) -> int:
    """Say it, and give the exit code."""
    tell(error.message, error.hint)
    return exit_code_of(error)


def tell_crash(error: Exception) -> int:
    """One line and a crash log; the traceback itself with ``STIGMERGY_DEBUG=1``."""
    if os.environ.get("STIGMERGY_DEBUG") == "1":
        traceback.print_exception(error)
        return FAILED
    name = f"stig-crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.log"
    path = Path(tempfile.gettempdir()) / name
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as log:
            log.write(f"python {sys.version}\n\n")
            traceback.print_exception(error, file=log)
    except OSError as no_log:
        tell(f"unexpected {type(error).__name__}: {error}", f"no crash log could be written: {no_log.strerror}")
        return FAILED
    tell(f"unexpected {type(error).__name__}: {error}", f"this is a flaw of ours; please report it with {path}")
    return FAILED
