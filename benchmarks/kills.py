"""Killing a read model's process and the message server at random moments, while events are published.

``python -m benchmarks.kills --times 50 --role archive``. Every kill is SIGKILL. Afterwards every acknowledged event is
looked for, on the log and in the read model: it must be there, and once. Exit code 1 if it is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.client import Client
from rich.console import Console

from benchmarks.publishing import make_events
from benchmarks.tables import Table, drawn, marked
from events.event_loop import new_event_loop
from events.jetstream import JetStreamLog, connect, ensure_streams
from events.port import Ack, Window, Write
from events.services import NatsServices
from projections.hosting import ProjectionStatus
from stigmergy.local.ephemeral import ThrowAwayServer, nats_server
from stigmergy.local.leash import leashed
from stigmergy.read_models import statuses

_BATCH = 200
_CAUGHT_UP_S = 120.0
_SERVER = "nats"


@dataclass(frozen=True)
class Watched:
    """How a role keeps its store in a folder, and how it is looked at when its process has ended: ``ids`` gives the ids
    of all events in it, once for each time they are there."""

    settings: Callable[[Path], dict[str, str]]
    ids: Callable[[Path], Counter[str]]


def _archive_ids(folder: Path) -> Counter[str]:
    from projections.archive.places import FolderPlace
    from projections.archive.reader import ArchiveReader

    return Counter(event.id for event in ArchiveReader(FolderPlace(folder)).read())


ROLES = {
    "archive": Watched(lambda folder: {"ARCHIVE_URL": str(folder), "ARCHIVE_EVERY_S": "0.2"}, _archive_ids),
}


@dataclass
class Outcome:
    """What became of it all; ``killed``: who was killed how often."""

    role: str
    killed: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unacknowledged: int = 0
    lost_on_log: int = 0
    doubled_on_log: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.lost_on_log or self.doubled_on_log) and self.acknowledged > 0


class Hosting:
    """The role in a process of its own, as it is used for real."""

    def __init__(self, role: str, nats_url: str, folder: Path) -> None:
        given = {"NATS_URL": nats_url, "STATE_DIR": str(folder / "state"), **ROLES[role].settings(folder / "store")}
        self._env = {**os.environ, **{f"STIGMERGY_{name}": value for name, value in given.items()}}
        self._role, self._log = role, folder / f"{role}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Start it if it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        command = leashed((sys.executable, "-m", "stigmergy.cli", "serve", self._role))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._env, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def kill_again_and_again(
    role: str, times: int, folder: Path, *, seed: int, pause_s: tuple[float, float] = (0.3, 3.0)
) -> Outcome:
    """Publish, kill, and look what is there. Returns when the read model has caught up.

    Raises:
        TimeoutError: it did not catch up within two minutes.
    """
    chance, outcome, began = random.Random(seed), Outcome(role), time.monotonic()
    with nats_server(folder / "nats", store_bytes=8 * 2**30) as server:
        nc = await connect(server.url, name="kills")
        await ensure_streams(nc)
        log, hosting = await JetStreamLog.open(nc), Hosting(role, server.url, folder)
        hosting.keep()
        try:
            async with _publishing(log) as acknowledged:
                for _ in range(times):
                    await asyncio.sleep(chance.uniform(*pause_s))
                    outcome.killed[await _kill(chance.choice((role, role, _SERVER)), hosting, server)] += 1
            outcome.acknowledged, outcome.unacknowledged = len(acknowledged.ids), acknowledged.refused
            await _caught_up(nc, log, hosting, role)
            hosting.kill()
            await _compare(log, role, folder, acknowledged.ids, outcome)
        finally:
            hosting.kill()
        await log.close()
    outcome.seconds = time.monotonic() - began
    return outcome


@dataclass
class _Acknowledged:
    ids: set[str] = field(default_factory=set)
    refused: int = 0


@asynccontextmanager
async def _publishing(log: JetStreamLog) -> AsyncIterator[_Acknowledged]:
    told, over = _Acknowledged(), asyncio.Event()

    async def publish() -> None:
        while not over.is_set():
            events = make_events(_BATCH, 4)
            for event, result in zip(events, await log.write([Write((one,)) for one in events]), strict=True):
                if isinstance(result, Ack):
                    told.ids.add(event.id)
                else:
                    told.refused += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(publish())
    try:
        yield told
    finally:
        over.set()
        await task


async def _kill(whom: str, hosting: Hosting, server: ThrowAwayServer) -> str:
    if whom == _SERVER:
        server.kill()
        await asyncio.sleep(0.2)  # the publisher and the role meet a server that is not there
        server.start()
    else:
        hosting.kill()
    hosting.keep()
    return whom


async def _caught_up(nc: Client, log: JetStreamLog, hosting: Hosting, role: str) -> None:
    end, services = await log.last_sequence(), NatsServices(nc)
    async with asyncio.timeout(_CAUGHT_UP_S):
        while True:
            hosting.keep()
            found = (await statuses(services, "bench", [role]))[role]
            if isinstance(found, ProjectionStatus) and found.position >= end:
                return
            await asyncio.sleep(0.1)


async def _compare(log: JetStreamLog, role: str, folder: Path, acknowledged: set[str], outcome: Outcome) -> None:
    logged = Counter([event.id async for event in log.read(Window())])
    kept = await asyncio.to_thread(ROLES[role].ids, folder / "store")
    outcome.lost_on_log = sum(one not in logged for one in acknowledged)
    outcome.doubled_on_log = sum(count - 1 for count in logged.values())
    outcome.lost = sum(one not in kept for one in logged)
    outcome.doubled = sum(count - 1 for count in kept.values())


def table(outcomes: list[Outcome]) -> Table:
    """One line for each role."""
    heads = ("role", "kills", "acknowledged", "lost on the log", "doubled there", "lost in the model", "doubled there ")
    rows = tuple(
        (
            one.role,
            ", ".join(f"{name} {count}×" for name, count in sorted(one.killed.items())),
            f"{one.acknowledged:,}",
            f"{one.lost_on_log:,}",
            f"{one.doubled_on_log:,}",
            f"{one.lost:,}",
            f"{one.doubled:,}",
        )
        for one in outcomes
    )
    return Table("Killed at random moments", heads, rows)


def main() -> int:
    """The program. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--role", action="append", choices=sorted(ROLES), help="may be repeated [default: all]")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    outcomes = []
    for role in options.role or sorted(ROLES):
        with (
            tempfile.TemporaryDirectory(prefix="stigmergy-kills-") as folder,
            asyncio.Runner(loop_factory=new_event_loop) as runner,
        ):
            outcomes.append(runner.run(kill_again_and_again(role, options.times, Path(folder), seed=options.seed)))
    made = table(outcomes)
    about = f"Seed {options.seed}; {sum(one.seconds for one in outcomes):.0f} s."
    if options.markdown:
        print(f"{about}\n\n{marked(made)}")
    else:
        Console().print(drawn(made))
        print(about)
    return int(not all(one.sound for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
