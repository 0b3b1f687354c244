"""Runs ruff as a program over given files, apart from any configuration of the repository or of this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped]

from schemas.errors import Permanent, TimedOut, ToolMissing
from workers.tools.python_code.rule_families import LIFTED, NEVER

SECONDS = 120.0
_BATCH = 200  # paths per process: far below the system's limit on arguments
_OLDEST, _NEWEST = (3, 7), (3, 14)


def check(
    folder: Path, files: Sequence[str], rules: Sequence[str], floor: tuple[int, int], *, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """Ruff's diagnostics for ``files`` (paths relative to ``folder``), in ruff's own shape, in the order of the files.

    Raises:
        ToolMissing: there is no ruff.
        TimedOut: it took longer than ``seconds``.
        Permanent: it failed or said something else than JSON.
    """
    found: list[dict[str, Any]] = []
    for batch in _batches(files):
        said = _run(folder, ["--output-format", "json", *_options(rules, floor)], batch, seconds)
        try:
            found.extend(json.loads(said or "[]"))
        except json.JSONDecodeError as error:
            raise Permanent(f"ruff answered something else than JSON: {said[:200]!r}") from error
    return found


def fix(
    folder: Path, files: Sequence[str], rules: Sequence[str], floor: tuple[int, int], *, seconds: float = SECONDS
) -> None:
    """Let ruff rewrite ``files`` in place: fixes it calls safe, and the lifted rules. Raises as ``check`` does."""
    for batch in _batches(files):
        _run(folder, ["--fix-only", "--quiet", *_options(rules, floor)], batch, seconds)


def _batches(files: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(files), _BATCH):
        yield files[start : start + _BATCH]


def _options(rules: Sequence[str], floor: tuple[int, int]) -> list[str]:
    major, minor = min(max(floor, _OLDEST), _NEWEST)
    lifted = ",".join(f'"{rule}"' for rule in LIFTED)
    selected = ["--select", ",".join(rules), "--ignore", ",".join(NEVER)]
    return [*selected, "--target-version", f"py{major}{minor}", "--config", f"lint.extend-safe-fixes=[{lifted}]"]


def _run(folder: Path, options: Sequence[str], files: Sequence[str], seconds: float) -> str:
    command = [_binary(), "check", "--isolated", "--no-cache", "--no-preview", "--exit-zero", *options, "--", *files]
    # RUFF_* variables of the surroundings would change the outcome.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUFF_")}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"ruff took longer than {seconds:g} s", hint="exclude large generated files") from error
    except FileNotFoundError as error:
        raise ToolMissing("ruff cannot be started", hint="install the package 'ruff'") from error
    if done.returncode != 0:
        raise Permanent(f"ruff failed: {done.stderr.decode(errors='replace')[-500:].strip()}")
    return done.stdout.decode("utf-8", "replace")


def _binary() -> str:
    try:
        return str(find_ruff_bin())
    except FileNotFoundError as error:
        raise ToolMissing("there is no ruff on this machine", hint="install the package 'ruff'") from error
