"""How quickly the player opens a long film and moves in it: ``python -m benchmarks.player --events 100000``.

The film is made of copies of a recorded mission, fifty at a time, as ``stig replay --since`` would show them. The app
runs in Textual's harness: everything is laid out and drawn, but no terminal is written to.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.replay import TENANT, film, machine
from events.replay import Pace
from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.film import Film
from stigmergy.replaying import scene_cursor
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from schemas.envelope import Event

SIZE = (120, 40)
STEPS = 50


async def opened(events: list[Event]) -> tuple[float, dict[str, float]]:
    """Seconds until the first picture, and what the rest took, in milliseconds of processor time for one step."""
    begun = time.perf_counter()
    cursor = scene_cursor(TENANT, "", world=world_fold())
    cursor.extend(events)
    player = Film(cursor, Pace(time.monotonic, paused=True), world=world_fold())
    app = PlayerApp(player)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        while not cursor.is_near(len(cursor)):
            await pilot.pause(0.01)
        found = {"all_folded_s": time.perf_counter() - begun}
        for name, move in (("step", player.step), ("error", player.error)):
            for place, where in (("early", 100), ("late", len(cursor) * 9 // 10)):
                player.jump(where)
                app.films.advance()
                await pilot.pause()
                found[f"{name}_{place}_ms"] = await moved(pilot, app, move)
        begun = time.perf_counter()
        player.filter("type:task.* zzz")
        while player.sift():
            pass
        found["filter_ms"] = (time.perf_counter() - begun) * 1000
        player.filter("")
        found["at_max_per_s"] = await at_max(pilot, app)
    return first, found


async def moved(pilot: Pilot[None], app: PlayerApp, move: Callable[[], None]) -> float:
    """The median of many moves, drawn; milliseconds of processor time."""
    times = []
    for _ in range(STEPS):
        begun = time.process_time()
        move()
        app.films.advance()
        await pilot.pause(0)
        times.append((time.process_time() - begun) * 1000)
    return median(times)


async def at_max(pilot: Pilot[None], app: PlayerApp) -> float:
    """Events a second when nothing waits."""
    app.film.first()
    app.film.speed(math.inf)
    app.film.play()
    app.films.advance()
    begun, wanted = time.perf_counter(), min(len(app.film.cursor), 30_000)
    while app.film.cursor.position < wanted:
        await pilot.pause(0.01)
    return wanted / (time.perf_counter() - begun)


def main() -> None:
    """Measure, and print JSON."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--events", type=int, default=100_000)
    said = options.parse_args()
    events = list(film("repair", said.events))
    gc.freeze()
    first, rest = asyncio.run(opened(events))
    found = {"events": said.events, "first_picture_s": first, **rest}
    print(json.dumps({"machine": machine(), **{name: round(value, 2) for name, value in found.items()}}, indent=2))


if __name__ == "__main__":
    main()
