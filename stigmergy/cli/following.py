"""Follow a mission to its end, with progress on standard error, Ctrl-C as a wish to cancel, and a deadline."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from schemas.envelope import moment_of
from schemas.errors import StigmergyError, TimedOut
from stigmergy.cli import screen
from stigmergy.cli.drawing import Drawing
from stigmergy.cli.sentences import STATE_CHANGES, sentence
from stigmergy.cli.watching import Watching

if TYPE_CHECKING:
    from rich.console import Console

    from stigmergy.client import Client
    from stigmergy.mission_handle import MissionHandle
    from stigmergy.missions import MissionView

_REFRESH_S = 0.125


class Left(StigmergyError):
    """The second Ctrl-C: the mission was asked to stop, and nobody waits for it."""

    code = "left"


class Follower:
    """One mission, watched until it ends.

    Args:
        quiet: no progress at all.
    """

    def __init__(self, client: Client, handle: MissionHandle, *, quiet: bool) -> None:
        self._handle = handle
        self._watching = Watching(client.settings.tenant, handle.id)
        self._console = screen.err()
        self._drawn = not quiet and sys.stdout.isatty() and sys.stderr.isatty()
        self._told = not quiet and not self._drawn
        self._quiet = quiet
        self.interrupted = False

    async def to_the_end(self, timeout_s: float | None) -> MissionView:
        """The mission when it has ended.

        Raises:
            TimedOut: it had not; it was asked to cancel.
            Left: Ctrl-C came twice.
        """
        leaving = asyncio.Event()
        with self._on_ctrl_c(leaving):
            following = asyncio.create_task(self._follow())
            left = asyncio.create_task(leaving.wait())
            try:
                await asyncio.wait({following, left}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
                elif leaving.is_set():
                    raise Left(f"left mission {self._handle.id}, which was asked to cancel")
                else:
                    await self._handle.cancel("its time was over")
                    raise TimedOut(
                        f"the mission had not ended within {timeout_s:g} s and was cancelled",
                        hint=f"stig mission show {self._handle.id}",
                    )
            finally:
                for task in (following, left):
                    task.cancel()
                await asyncio.gather(following, left, return_exceptions=True)
        return self._watching.view

    async def _follow(self) -> None:
        async with self._drawing():
            async for event in self._handle.events():
                self._watching.take(event)
                if self._told and event.type in STATE_CHANGES:
                    self._console.print(f"[dim]{screen.clock(moment_of(event))}[/] {sentence(event)}")
                if self._watching.ended:
                    return

    @asynccontextmanager
    async def _drawing(self) -> AsyncIterator[None]:
        if not self._drawn:
            yield
            return
        from rich.live import Live

        with Live(Drawing(self._watching), console=self._console, auto_refresh=False, transient=False) as live:

            async def keep_drawing() -> None:
                while True:
                    live.refresh()
                    await asyncio.sleep(_REFRESH_S)

            painter = asyncio.create_task(keep_drawing())
            try:
                yield
            finally:
                painter.cancel()
                live.refresh()

    @contextmanager
    def _on_ctrl_c(self, leaving: asyncio.Event) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Task[None]] = []

        def interrupt() -> None:
            if self.interrupted:
                leaving.set()
                return
            self.interrupted = True
            _say(self._console, "cancelling; Ctrl-C again leaves at once")
            asked.append(asyncio.create_task(self._cancel()))

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _cancel(self) -> None:
        try:
            await self._handle.cancel("interrupted")
        except StigmergyError as error:
            _say(self._console, f"the mission could not be cancelled: {error.message}")


def _say(console: Console, text: str) -> None:
    console.print(f"[yellow]{screen.plain(text)}[/]")
