"""What workers tell the witness of their pool: their heartbeats, and how long it may speak for them.

An agent that holds the interpreter in C for seconds (a long regular expression, a sort, a library that does not let go
of the lock) leaves no thread of its process a turn, so its heartbeats stop though it works. The witness
(:mod:`workers.witness`) is a process of its own beside the pool. It hears every heartbeat as well, and goes on with the
last one of a worker that has gone quiet, as long as its process is there and not stopped. When a process ends it says
so at once.

A datagram socket that children inherit: no connection to make after a fork, a word is whole or is not there, and who
cannot send (the witness has ended, its buffer is full) goes on without.

Roads not taken: a thread in the main process of the pool, because a process with threads should not fork; a process for
each worker, of which a machine may have a hundred; heartbeats by the witness alone, because then its end would be that
of all.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time

import msgspec

_log = logging.getLogger(__name__)
_BUFFER = 1024 * 1024
FD, URL, BEAT, PARENT = (
    "STIGMERGY_WITNESS_FD",
    "STIGMERGY_WITNESS_NATS",
    "STIGMERGY_WITNESS_BEAT_S",
    "STIGMERGY_WITNESS_OF",
)


ROUNDED_S = 1.0
"""A witness is told so much more than an attempt may take: once, then, of many short ones."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """One heartbeat on its way to the witness.

    Attributes:
        worker, pid: who says it.
        at: when, on the machine's monotonic clock in seconds, which all its processes share.
        until: for so long the witness may speak for it.
        alone: its process makes one attempt at a time, so it may be ended when it hangs beyond ``until``.
        beat: the heartbeat as it is sent; empty where an attempt begins between two of them.
    """

    worker: str
    pid: int
    at: float
    until: float
    alone: bool
    beat: bytes


def still_right(until: float, deadline: float) -> bool:
    """Whether a witness that was told ``until`` has been told right of an attempt that ends at ``deadline``: it must
    not speak for too short a time, nor for long after. Seconds of one clock."""
    return deadline <= until <= deadline + ROUNDED_S


class Vouching:
    """The workers' end. Made by the main process of a pool before it forks; children inherit it."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.setblocking(False)
        for end in (self._ours, self._theirs):
            for which in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, which, _BUFFER)
        self._witness: subprocess.Popen[bytes] | None = None

    def start(self, nats_url: str, heartbeat_s: float) -> None:
        """Start the witness. It ends by itself when this process and all who spoke to it have ended."""
        given = {FD: str(self._theirs.fileno()), URL: nats_url, BEAT: str(heartbeat_s), PARENT: str(os.getpid())}
        try:
            self._witness = subprocess.Popen(
                [sys.executable, "-m", "workers.witness"],
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                pass_fds=(self._theirs.fileno(),),
            )
        except OSError as error:
            _log.warning("no witness could be started; heartbeats are the workers' own alone: %s", error)
        self._theirs.close()

    def tell(self, word: Word) -> None:
        """Hand on a heartbeat; never blocks. What cannot be told is told with the next one."""
        try:
            self._ours.send(msgspec.msgpack.encode(word))
        except OSError:
            return  # its buffer is full, or it has ended: then this worker speaks for itself alone


def told(worker: str, beat: bytes, deadline: float | None, *, alone: bool) -> Word:
    """A word to the witness; ``deadline`` is the monotonic instant at which the attempt in hand has to end, if any."""
    now = time.monotonic()
    until = now + _UNASKED_S if deadline is None else max(now + _UNASKED_S, deadline + _OVER_S)
    return Word(worker, os.getpid(), now, until, alone and deadline is not None, beat)


_UNASKED_S = 10.0
"""For so long the witness speaks for a worker that has nothing in hand: machines are slow at times."""
_OVER_S = 5.0
"""A worker ends an attempt at its deadline by itself, and its process 4 s later; who still hangs then cannot."""
