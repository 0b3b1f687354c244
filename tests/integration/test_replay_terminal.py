"""The player in a real terminal: it draws, takes keys, leaves, and the terminal is as before."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).parents[2]
HISTORY = ROOT / "tests" / "replay" / "histories" / "repair.ndjson"


def until(terminal: int, wanted: bytes, seconds: float = 20.0) -> bytes:
    """What is drawn until the wanted bytes are among it."""
    drawn, deadline = b"", time.monotonic() + seconds
    while wanted not in drawn:
        assert time.monotonic() < deadline, drawn[-2000:].decode("utf-8", "replace")
        if select.select([terminal], [], [], 0.1)[0]:
            drawn += os.read(terminal, 65536)
    return drawn


def test_keys_move_the_film_and_the_terminal_is_left_in_order(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-m", "stigmergy.cli", "replay", str(HISTORY), "--speed", "0.1"]
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    player = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment)
    try:
        assert b"\x1b[?1049h" in until(ours, b"/175")
        os.write(ours, b"g60\r")
        until(ours, b"60/175")
        os.write(ours, b"\x1b[C")
        until(ours, b"61/175")
        os.write(ours, b"\x1b[D\x1b[D")
        until(ours, b"59/175")
        os.write(ours, b"q")
        until(ours, b"\x1b[?1049l")
        assert player.wait(10) == 0
        assert termios.tcgetattr(theirs)[3] == before[3]
    finally:
        if player.poll() is None:
            player.kill()
            player.wait()
        os.close(ours)
        os.close(theirs)
