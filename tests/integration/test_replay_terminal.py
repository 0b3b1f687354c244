"""The player in a real terminal: it draws, takes keys, leaves, and the terminal is as before."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client as NatsClient

from events.jetstream import JetStreamLog
from events.replay import HistoryFile
from tests.integration.test_replay_log import write

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).parents[2]
_ESCAPES = re.compile(r"\x1b\[[0-9;?<=>]*\$?[A-Za-z]")
HISTORY = ROOT / "tests" / "replay" / "histories" / "repair.ndjson"


def until(terminal: int, wanted: bytes, seconds: float = 20.0) -> bytes:
    """What is drawn until the wanted bytes are among it."""
    drawn, deadline = b"", time.monotonic() + seconds
    while wanted not in drawn:
        assert time.monotonic() < deadline, drawn[-2000:].decode("utf-8", "replace")
        if select.select([terminal], [], [], 0.1)[0]:
            drawn += os.read(terminal, 65536)
    return drawn


class Terminal:
    """A player in a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(40, 140)
        self.before = termios.tcgetattr(self.theirs)
        command = [sys.executable, "-m", "stigmergy.cli", "replay", *arguments]
        outside = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = {**outside, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **variables}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that a new size is told with a signal
        )

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str, wanted: str) -> str:
        """Press keys and wait until something is drawn; without escapes of colour and place."""
        os.write(self.ours, keys.encode())
        return self.shows(wanted)

    def shows(self, wanted: str, seconds: float = 30.0) -> str:
        drawn, deadline = b"", time.monotonic() + seconds
        while wanted not in (text := _ESCAPES.sub("", drawn.decode("utf-8", "replace"))):
            assert time.monotonic() < deadline, text[-3000:]
            if select.select([self.ours], [], [], 0.1)[0]:
                drawn += os.read(self.ours, 65536)
        return text

    def leave(self, key: str = "q") -> None:
        os.write(self.ours, key.encode())
        until(self.ours, b"\x1b[?1049l")
        assert self.process.wait(10) == 0
        assert termios.tcgetattr(self.theirs) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@contextmanager
def terminal(folder: Path, *arguments: str, **variables: str) -> Iterator[Terminal]:
    made = Terminal(folder, *arguments, **variables)
    try:
        yield made
    finally:
        made.close()


def test_keys_move_the_film_and_the_terminal_is_left_in_order(tmp_path: Path) -> None:
    with terminal(tmp_path, str(HISTORY), "--speed", "0.1") as player:
        assert b"\x1b[?1049h" in until(player.ours, b"/175")
        player.press("g60\r", "60/175")
        player.press("\x1b[C", "61/175")
        player.press("\x1b[D\x1b[D", "59/175")
        player.press("\x1b[6~", "69/175")
        player.press("\x1b[5~", "59/175")
        player.leave()


def test_everything_the_player_can_do_it_does_full_screen(tmp_path: Path) -> None:
    events = HistoryFile(HISTORY).read()
    with terminal(tmp_path, str(HISTORY), "--speed", "0.1") as player:
        player.shows("▶ 0.1x")
        player.press(" ", "‖")
        player.press("[", "‖ 0.1x")
        player.press("]]]", "1x")
        player.press("e", "is not as expected")
        player.press("e", "failed")
        player.press("e", "no error from here on")
        player.press("E", "is not as expected")
        player.press("\x1b[H", "0/175")
        player.press("/type:mission.extended\r", "filtered")
        player.press("\x1b[C", "unfolds into")
        player.press(f"/agent:test* since:{events[90].time}\r", "filtered")
        player.press("\x1b[C", "reported")
        player.press("/since:25:99\r", "no time of day")
        player.press("\x03", "filtered")
        player.press("/\r", "175 events ·")
        player.press("fpytest\r", "sought pytest")
        player.press("\t", "objective")
        player.press("\t", "no task has noted anything yet")
        player.press("\t", "tool_calls")
        player.press("\t", "specversion")
        player.press("\t", "Understand the repository")
        player.resize(24, 80)
        player.shows("Quit")
        player.press("?", "into the panel")
        player.press("\x1b", "Tasks")
        player.press("g999\r", "there is no event 999")
        player.press("\x03", "Quit")
        player.press("\x1b[H" + "]" * 12 + " ", "175/175")
        player.press("gseq:1\r", "no event of the mission is at or before")
        player.press("\x03", "Quit")
        player.leave()


@pytest.mark.parametrize("key", ["\x03", "\x04", "\x11"])
def test_it_is_left_by_what_leaves_anything(tmp_path: Path, key: str) -> None:
    with terminal(tmp_path, str(HISTORY)) as player:
        player.shows("/175")
        player.leave(key)


def test_the_mouse_chooses_an_event(tmp_path: Path) -> None:
    with terminal(tmp_path, str(HISTORY), "--speed", "0.1") as player:
        player.shows("mission: Repair orders")
        player.press(" ", "‖")
        player.press("\x1b[<0;20;16M\x1b[<0;20;16m", "7/175")
        player.leave()


def test_without_colours_nothing_is_coloured(tmp_path: Path) -> None:
    with terminal(tmp_path, str(HISTORY), "--speed", "0.1", NO_COLOR="1") as player:
        drawn = until(player.ours, b"/175").decode("utf-8", "replace")
        colours = re.findall(r"\x1b\[[0-9;]*?[34]8;2;(\d+);(\d+);(\d+)", drawn)
        assert all(red == green == blue for red, green, blue in colours)
        player.leave()


def test_a_terminal_that_goes_away_ends_it(tmp_path: Path) -> None:
    player = Terminal(tmp_path, str(HISTORY), "--speed", "0.1")
    try:
        player.shows("/175")
        os.close(player.theirs)
        os.close(player.ours)
        assert player.process.wait(10) != 0
    finally:
        if player.process.poll() is None:
            player.process.kill()
            player.process.wait()


def test_a_terminal_that_can_only_print_gets_lines(tmp_path: Path) -> None:
    with terminal(tmp_path, str(HISTORY), TERM="dumb") as player:
        player.shows("mission completed")
        assert player.process.wait(10) == 0


async def test_events_of_several_missions_are_one_film(nats: NatsClient, nats_url: str, tmp_path: Path) -> None:
    log = await JetStreamLog.open(nats)
    hello = HistoryFile(HISTORY.with_name("hello.ndjson")).read()
    repair = HistoryFile(HISTORY).read()
    await write(log, [*hello[:20], *repair, *hello[20:]])

    def watch() -> None:
        arguments = ("--subject", "events.*.*.task.>", "--speed", "0.1", "--follow")
        variables = {"STIGMERGY_NATS_URL": nats_url, "STIGMERGY_STATE_DIR": str(tmp_path)}
        with terminal(tmp_path, *arguments, **variables) as player:
            player.shows("/213")
            player.press("g20\r", "20/213")
            player.press(" \x1b[C", repair[0].mission[:13])  # the panel turns to the mission of the event
            player.shows("Understand the repository")
            player.press("\x1b[F", hello[0].mission[:13])
            player.leave()

    await asyncio.to_thread(watch)
