"""The witness of a pool: ``python -m workers.witness``, started by :class:`~workers.vouching.Vouching`.

It speaks for workers that cannot speak although they work, says at once when one has died, and ends the process of one
that hangs beyond its deadline with the interpreter's lock in hand, which nothing inside that process could do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from events.event_loop import new_event_loop
from events.jetstream import connect
from schemas.errors import StigmergyError
from schemas.signals import Heartbeat, heartbeat_subject
from workers.vouching import BEAT, FD, PARENT, URL, Word

_log = logging.getLogger(__name__)
_LOOK_S = 0.1
_LARGEST = 1024 * 1024
_ASLEEP = "TtZX"
"""States of /proc/<pid>/stat in which nobody works: stopped, traced, ended."""
_words = msgspec.msgpack.Decoder(Word)
_beats = msgspec.json.Decoder(Heartbeat)


@dataclass
class _Worker:
    word: Word
    pidfd: int | None
    spoken_at: float = 0.0


class Witness:
    """Hears words on ``ears`` and speaks over ``nc``.

    Args:
        beat_s: how often a worker is to be heard.
        parent: the main process of the pool.
    """

    def __init__(self, ears: socket.socket, nc: Client, beat_s: float, parent: int) -> None:
        self._ears, self._nc, self._beat_s, self._parent = ears, nc, beat_s, parent
        self._workers: dict[str, _Worker] = {}

    async def watch(self) -> None:
        """Until the pool has ended."""
        self._ears.setblocking(False)
        asyncio.get_running_loop().add_reader(self._ears, self._hear)
        while self._workers or os.getppid() == self._parent:
            await asyncio.sleep(_LOOK_S)
            self._hear()
            for name, worker in list(self._workers.items()):
                if _has_ended(worker):
                    del self._workers[name]
                    await self._bury(worker)
                else:
                    await self._look(worker, time.monotonic())

    def _hear(self) -> None:
        while True:
            try:
                raw = self._ears.recv(_LARGEST)
            except BlockingIOError:
                return
            try:
                word = _words.decode(raw)
            except msgspec.MsgspecError as error:
                _log.warning("not a word of a worker: %s", error)
                continue
            known = self._workers.get(word.worker)
            if known is not None:
                known.word = word if word.beat else msgspec.structs.replace(word, beat=known.word.beat)
            elif word.beat:
                self._workers[word.worker] = _Worker(word, _pidfd(word.pid))

    async def _look(self, worker: _Worker, now: float) -> None:
        word, silent_s = worker.word, now - worker.word.at
        if silent_s < self._beat_s * _LATE or now - worker.spoken_at < self._beat_s or not _is_awake(word.pid):
            return
        if now < word.until:
            worker.spoken_at = now
            await self._say(word, vouched=True)
        elif word.alone and silent_s > _HANGS_S:
            _log.error("worker %s hangs beyond the deadline of its attempt; ending its process", word.worker)
            _kill(word.pid)

    async def _bury(self, worker: _Worker) -> None:
        if worker.pidfd is not None:
            os.close(worker.pidfd)
        if not _beats.decode(worker.word.beat).leaving:
            await self._say(worker.word, gone=True)

    async def _say(self, word: Word, *, vouched: bool = False, gone: bool = False) -> None:
        beat = _beats.decode(word.beat)
        said = msgspec.structs.replace(beat, vouched=vouched, gone=gone, leaving=beat.leaving or gone)
        try:
            await self._nc.publish(heartbeat_subject(word.worker), msgspec.json.encode(said))
            if gone:
                await self._nc.flush(timeout=1)
        except (NatsError, TimeoutError, OSError) as error:
            _log.warning("the witness was not heard: %s", error)


_LATE = 1.6
"""A worker speaks for itself again within this many times its beat, unless something holds it up."""
_HANGS_S = 5.0


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None  # another system than Linux, or it has ended already


def _has_ended(worker: _Worker) -> bool:
    if worker.pidfd is not None:
        return bool(select.select([worker.pidfd], [], [], 0)[0])
    try:
        os.kill(worker.word.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _is_awake(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not Path("/proc/self").exists()  # nobody can tell here
    return stat.rpartition(")")[2].split()[0] not in _ASLEEP


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _main() -> int:
    parent = int(os.environ[PARENT])
    ears = socket.socket(fileno=int(os.environ[FD]))
    try:
        nc = await connect(os.environ[URL], name="witness", timeout_s=30.0)
    except StigmergyError as error:
        _log.warning("no witness: %s", error)
        return 1
    await Witness(ears, nc, float(os.environ[BEAT]), parent).watch()
    await nc.close()
    return 0


if __name__ == "__main__":
    # Signals to the whole pool are for its main process to follow: this one ends after it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        sys.exit(runner.run(_main()))
