"""The client for programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from projections.analytics.queries.port import ROWS, Answer
from schemas.envelope import NO_MISSION, Event
from schemas.plan import Plan, StrategyWish
from stigmergy.ballots import BallotView
from stigmergy.client import Client
from stigmergy.mission_handle import MissionHandle
from stigmergy.missions import MissionRow, MissionView
from stigmergy.settings import Settings
from stigmergy.sync_world import SyncWorld


class SyncClient:
    """As :class:`~stigmergy.client.Client`, with calls that block.

    The loop runs in a thread of its own, so that the connection stays alive between calls::

        with SyncClient() as client:
            outcome = client.run("Say hello", workflow="hello", inputs={"name": "Ada"})
    """

    def __init__(self, settings: Settings | None = None, *, name: str = "client") -> None:
        self._client = Client(settings, name=name)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stigmergy-client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self._client.__aexit__(None, None, None))
        self._stop()

    def submit(
        self,
        objective: str,
        *,
        workflow: str = "",
        plan: Plan | None = None,
        strategy: StrategyWish | None = None,
        inputs: Mapping[str, Any] | None = None,
        budget: Mapping[str, float] | None = None,
        mission: str | None = None,
    ) -> str:
        """Submit an objective; returns the mission's id. Raises as :meth:`Client.submit`."""
        handle = self._wait(
            self._client.submit(
                objective,
                workflow=workflow,
                plan=plan,
                strategy=strategy,
                inputs=inputs,
                budget=budget,
                mission=mission,
            )
        )
        return handle.id

    def fork(self, origin: str, at: int, **arguments: Any) -> str:
        """Begin a mission at an event of another one; returns its id. Takes and raises as :meth:`Client.fork`."""
        return self._wait(self._client.fork(origin, at, **arguments)).id

    def outcome(self, mission: str, *, timeout_s: float | None = None) -> MissionView:
        """Wait until a mission has ended. Raises :class:`TimedOut`."""
        return self._wait(self._client.mission(mission).outcome(timeout_s=timeout_s))

    def run(self, objective: str, *, timeout_s: float | None = None, **arguments: Any) -> MissionView:
        """Submit, and wait for the end."""
        return self.outcome(self.submit(objective, **arguments), timeout_s=timeout_s)

    def view(self, mission: str) -> MissionView:
        """A mission as it is now."""
        return self._wait(self._client.mission(mission).view())

    def missions(self) -> list[MissionRow]:
        """All missions, newest first."""
        return self._wait(self._client.missions())

    def ballots(self, mission: str) -> list[BallotView]:
        """The ballots of a mission, every round of each."""
        return self._wait(self._client.mission(mission).ballots.all())

    def open_ballot(
        self, mission: str, ballot: str, question: str, options: Sequence[str], electorate: Sequence[str], **terms: Any
    ) -> None:
        """Put a question to a vote. Takes and raises as :meth:`MissionBallots.open`."""
        self._wait(self._client.mission(mission).ballots.open(ballot, question, options, electorate, **terms))

    def vote(self, mission: str, ballot: str, voter: str, choice: str | None = None, **said: Any) -> None:
        """Vote as a person; without anything said this is an abstention. Raises as :meth:`MissionBallots.vote`."""
        self._wait(self._client.mission(mission).ballots.vote(ballot, voter, choice, **said))

    def publish(self, type: str, data: Mapping[str, Any], *, mission: str = NO_MISSION) -> Event:
        """Publish one event and wait until the log has it. Raises as :meth:`Client.publish`."""
        return self._wait(self._client.publish(type, data, mission=mission))

    def events(self, mission: str) -> Iterator[Event]:
        """The events of a mission so far."""
        return iter(self._wait(self._collect(self._client.mission(mission))))

    def query(self, name: str, /, *, rows: int = ROWS, **parameters: Any) -> Answer:
        """The answer to a query template. As :meth:`Client.query`."""
        return self._wait(self._client.query(name, rows=rows, **parameters))

    def sql(self, statement: str, /, *, rows: int = ROWS, **parameters: Any) -> Answer:
        """The answer to SQL of one's own. As :meth:`Client.sql`."""
        return self._wait(self._client.sql(statement, rows=rows, **parameters))

    @staticmethod
    async def _collect(handle: MissionHandle) -> list[Event]:
        return [event async for event in handle.events(follow=False)]

    @property
    def world(self) -> SyncWorld:
        """Questions to the world model, as :attr:`Client.world`."""
        return SyncWorld(self._client.world, self._wait)

    def _wait[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()
