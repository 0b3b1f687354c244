"""The processes of a side: started, awaited, and gone with the block, whichever way it is left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from schemas.errors import Unavailable
from stigmergy.local.leash import leashed
from stigmergy.local.process_spec import READY_FILE
from stigmergy.local.tail import tail

ROOT = Path(__file__).resolve().parents[1]
_READY_S = 60.0
_GRACE_S = 15.0


@contextmanager
def module(name: str, arguments: tuple[str, ...], env: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run ``python -m`` on the module, which touches ``STIGMERGY_READY_FILE`` when it is ready; yields its process id.

    It dies with this process even if that is killed. Ctrl-C does not reach it: it is ended here, in order. Raises
    :class:`Unavailable`, with the end of its log, if it does not get ready.
    """
    label = "-".join((name.rpartition(".")[2], *arguments)).replace("/", "_")[:60]
    ready, log = folder / f"{label}.ready", folder / f"{label}.log"
    argv = leashed((sys.executable, "-m", name, *arguments))
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**env, READY_FILE: str(ready)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(child, label, ready, log)
        yield child.pid
    finally:
        _end(child)


def _await(child: subprocess.Popen[bytes], label: str, ready: Path, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while not ready.exists():
        if child.poll() is not None:
            raise Unavailable(
                f"{label} ended with status {child.returncode}: {tail(log, 20)}", hint="see its log above"
            )
        if time.monotonic() > deadline:
            raise Unavailable(f"{label} is not ready after {_READY_S:g} s: {tail(log, 20)}", hint="see its log above")
        time.sleep(0.02)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the root, patience, then SIGKILL to what is left of its tree."""
    try:
        tree = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _, left = psutil.wait_procs(tree, timeout=1.0)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5.0)
