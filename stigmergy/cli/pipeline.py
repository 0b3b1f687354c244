"""``stig replay --subject``: events of a slice as lines or JSON, in their own time or as fast as they come."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from events.replay import Choice, JoinedSource, Pace, Registrar, Slice
from events.replay.pace import MAX
from stigmergy.cli import screen
from stigmergy.cli.mission_events import line
from stigmergy.cli.recordings import history_of, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from events.replay import History
    from events.replay.copies import Sink
    from schemas.envelope import Event
    from stigmergy.cli.replay_run import Wish
    from stigmergy.client import Client

_EVERY_S = 5.0
_PLAIN_TYPE = re.compile(r"[A-Za-z0-9_:@~-]+\.([A-Za-z0-9_:@~-]+|\*)")


class Pipeline:
    """The wanted events of a slice, one after the other.

    Args:
        follow: go on at the end of the log.
    """

    def __init__(self, source: JoinedSource, choice: Choice, pace: Pace, *, follow: bool) -> None:
        self._source = source
        self._choice = choice
        self._pace = pace
        self._follow = follow
        self._registrar = Registrar()
        self.read = self.passed = 0
        self.reached = 0

    async def batches(self) -> AsyncGenerator[Sequence[Event]]:
        """What is due together; single events unless it goes as fast as it can."""
        unpaced = self._pace.speed == MAX
        everything = self._choice == Choice()
        async with aclosing(self._source.batches(follow=self._follow)) as batches:
            async for batch in batches:
                self.read += len(batch.events)
                self.reached = batch.last
                if unpaced:
                    chosen = batch.events if everything else [each for each in batch.events if self._wants(each)]
                    self.passed += len(chosen)
                    yield chosen
                    continue
                for event in batch.events:
                    if await self._due(event):
                        self.passed += 1
                        yield (event,)

    def _wants(self, event: Event) -> bool:
        return self._choice.wants(event, self._registrar.about(event))

    async def _due(self, event: Event) -> bool:
        """Wait until its time has come; False, at once, if it is not wanted."""
        about = self._registrar.about(event)
        if not self._choice.wants(event, about):
            return False
        if (wait := self._pace.wait_s(about.moment)) > 0:
            await asyncio.sleep(wait)
        self._pace.shown(about.moment)
        return True


async def pipe(client: Client, wanted: Slice, wish: Wish, sink: Sink | None = None) -> Pipeline:
    """Print the events, or hand them to a sink. Raises what the source raises."""
    pipeline = _opened(client, wanted, wish, await history_of(client, archive=wish.archive))
    console = screen.out()
    watched = sink is None and not wish.as_json and sys.stdout.isatty()
    async with aclosing(pipeline.batches()) as batches, _progress(pipeline, quiet=watched or wish.follow):
        async for events in batches:
            if sink is not None:
                for event in events:
                    await sink.put(event)
            elif wish.as_json:
                if events:
                    sys.stdout.write("".join([f"{msgspec.json.encode(event).decode()}\n" for event in events]))
                    sys.stdout.flush()
            else:
                for event in events:
                    console.print(line(event), soft_wrap=True)
    return pipeline


async def count(client: Client, wanted: Slice, wish: Wish) -> int:
    """How many events there are that fit. Raises what the source raises."""
    history = await history_of(client, archive=wish.archive)
    slice_, rest = narrowed(wanted, wish.choice)
    if rest == Choice():
        return await joined(client, history, slice_).count()
    pipeline = _opened(client, wanted, wish, history)
    async with aclosing(pipeline.batches()) as batches, _progress(pipeline, quiet=False):
        async for _ in batches:
            pass
    return pipeline.passed


def _opened(client: Client, wanted: Slice, wish: Wish, history: History | None) -> Pipeline:
    choice = wish.choice
    if choice.agents or choice.workers:  # who has an attempt is said by its claim: it has to be read as well
        choice = replace(choice, within=wanted)
        wanted = replace(wanted, noun="*", verb="*", key="")
    else:
        wanted, choice = narrowed(wanted, choice)
    return Pipeline(joined(client, history, wanted), choice, wish.pace(), follow=wish.follow)


def narrowed(wanted: Slice, choice: Choice) -> tuple[Slice, Choice]:
    """Types that are names, or all types of a noun, are chosen where they are kept: the rest is not even read."""
    types = tuple(one if "." in one else f"{one}.*" for one in choice.types)
    if not types or not all(_PLAIN_TYPE.fullmatch(one) for one in types):
        return wanted, choice
    return replace(wanted, types=types), replace(choice, types=())


@asynccontextmanager
async def _progress(pipeline: Pipeline, *, quiet: bool) -> AsyncIterator[None]:
    """Says on standard error how far it is, if it takes long."""
    task = None if quiet else asyncio.create_task(_tell(pipeline))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _tell(pipeline: Pipeline) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(_EVERY_S)
        rate = pipeline.read / (time.monotonic() - begun)
        said = f"read {screen.counted(pipeline.read, 'event')}, {pipeline.passed:,} of them wanted, up to sequence"
        screen.err().print(f"[dim]{said} {pipeline.reached:,}; {rate:,.0f}/s[/]")
