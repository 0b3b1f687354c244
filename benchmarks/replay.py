"""How fast an archive is replayed: only counting, handing out events, and folding missions.

``python -m benchmarks.replay --events 1000000``. The archive is made in a temporary folder, of recorded missions under
new ids, fifty of them interleaved at a time as workers would do them; it is removed afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from events.replay import HistoryFile, Slice
from orchestrator.core.evolve import FOLDED_TYPES, evolve
from orchestrator.core.folding import fact_to_fold
from orchestrator.core.mission import Mission
from projections.archive.history import ArchiveHistory
from projections.archive.messages import messages_of
from projections.archive.places import FolderPlace
from projections.archive.writer import ArchiveWriter
from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.ids import uuid7

HISTORIES = Path(__file__).parents[1] / "tests" / "replay" / "histories"
TENANT = "default"
AT_ONCE = 50
COMMIT = 100_000
RATES = ("counting", "events_made", "folded_of_all", "folded_of_some")
Read = Callable[[FolderPlace], Coroutine[Any, Any, int]]


def film(name: str, count: int) -> Iterator[Event]:
    """``count`` events of copies of a recorded mission, numbered as a log would."""
    recorded = HistoryFile(HISTORIES / f"{name}.ndjson").read()
    sequence = 0
    while True:
        missions = [uuid7() for _ in range(AT_ONCE)]
        for event in recorded:
            for mission in missions:
                if sequence == count:
                    return
                sequence += 1
                yield msgspec.structs.replace(event, mission=mission, tenant=TENANT, id=uuid7(), sequence=sequence)


def archived(place: FolderPlace, name: str, count: int) -> int:
    """Write an archive of such events; returns its bytes."""
    writer, size, batch = ArchiveWriter(place), 0, list[Event]()
    writer.look()
    for event in film(name, count):
        batch.append(event)
        if len(batch) == COMMIT or event.sequence == count:
            size += writer.commit(batch[0].sequence, event.sequence, messages_of(batch)).size
            batch = []
    return size


async def counted(place: FolderPlace) -> int:
    """Only count, in columns."""
    return (await ArchiveHistory(place).count(Slice(TENANT), 0))[0]


async def handed_out(place: FolderPlace) -> int:
    """Make every event and count it."""
    found = 0
    async for batch in ArchiveHistory(place).read(Slice(TENANT), 0):
        found += len(batch.events)
    return found


async def folded(place: FolderPlace, wanted: Slice) -> int:
    """Fold the state of every mission, as an orchestrator would have it; returns how many ended."""
    missions: dict[str, Mission] = {}
    ended = 0
    async for batch in ArchiveHistory(place).read(wanted, 0):
        for event in batch.events:
            mission = missions.get(event.mission) or Mission(tenant=TENANT, id=event.mission)
            try:
                if event.type in FOLDED_TYPES:  # one of a type that says nothing of it is not even parsed
                    mission = evolve(mission, fact_to_fold(event))
            except InvalidEvent:
                continue
            if mission.status.ended:
                missions.pop(event.mission, None)
                ended += 1
            else:
                missions[event.mission] = mission
    return ended


async def folded_of_all(place: FolderPlace) -> int:
    """Make every event, and fold those that say something of the state."""
    return await folded(place, Slice(TENANT))


async def folded_of_some(place: FolderPlace) -> int:
    """Leave the others in the archive, chosen by their type."""
    return await folded(place, Slice(TENANT, types=FOLDED_TYPES))


def rate(place: FolderPlace, read: Read, count: int, expected: int, times: int) -> int:
    """Events of the archive a second, the median of several runs; what is read must be what is expected."""
    rates = []
    for _ in range(times):
        begun = time.perf_counter()
        found = asyncio.run(read(place))
        rates.append(count / (time.perf_counter() - begun))
        assert found == expected, (found, expected)
    return round(median(rates))


def measure(name: str, count: int, times: int) -> dict[str, Any]:
    """All rates for one kind of mission."""
    with tempfile.TemporaryDirectory(prefix="replay-bench-") as folder:
        place = FolderPlace(Path(folder))
        size = archived(place, name, count)
        recorded = HistoryFile(HISTORIES / f"{name}.ndjson").read()
        payload = [len(event.data) for event in recorded]
        ended = sum(event.type == "mission.completed" for event in film(name, count))
        return {
            "missions": name,
            "events": count,
            "payload_bytes": round(sum(payload) / len(payload)),
            "archive_bytes_per_event": round(size / count, 1),
            "counting": rate(place, counted, count, count, times),
            "events_made": rate(place, handed_out, count, count, times),
            "folded_of_all": rate(place, folded_of_all, count, ended, times),
            "folded_of_some": rate(place, folded_of_some, count, ended, times),
        }


def machine() -> str:
    """Where it was measured, in short."""
    return f"Python {platform.python_version()}, {os.cpu_count()} processors"


def main() -> None:
    """Measure, and print a table or JSON."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--times", type=int, default=3)
    options.add_argument("--json", action="store_true")
    said = options.parse_args()
    rows = [measure(name, said.events, said.times) for name in ("hello", "repair")]
    if said.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
        return
    print(f"{machine()}\n")
    print("| missions | payload | only counting | events made | and missions folded | folded, other types left out |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        rates = " | ".join(f"{row[name]:,}/s" for name in RATES)
        print(f"| {row['missions']} | {row['payload_bytes']:,} B | {rates} |")


if __name__ == "__main__":
    main()
