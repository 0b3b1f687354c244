"""The role ``analytics`` as its host sees it: it follows the log, and answers the questions of other processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from events.services import Services
from projections.analytics.following import AnalyticsRole
from projections.analytics.queries.clickhouse import ClickHouseQueries
from projections.analytics.queries.port import Part, Question
from projections.analytics.queries.service import serve_queries
from projections.analytics.queries.sessions import sessions_of
from projections.port import Progress
from schemas.errors import Unavailable


class AnsweringAnalytics:
    """A read model that answers while it follows; see :class:`projections.port.Projection`."""

    name = "analytics"

    def __init__(self, role: AnalyticsRole, services: Services) -> None:
        self._role = role
        self._services = services
        self._sessions = sessions_of(role.engine)
        self._queries = ClickHouseQueries(self._sessions, role.engine.database)
        self._subscribed = False
        self._open = False

    async def position(self) -> int:
        """Raises as :meth:`AnalyticsRole.position`."""
        return await self._role.position()

    async def rebuild(self, to: int | None, progress: Progress) -> int:
        """Raises as :meth:`AnalyticsRole.rebuild`."""
        return await self._role.rebuild(to, progress)

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Follow for ever; may be called again when it has failed. Raises as :meth:`AnalyticsRole.run`."""
        opened = asyncio.Event()
        following = asyncio.create_task(self._role.run(opened))
        opening = asyncio.create_task(opened.wait())
        try:
            await asyncio.wait({following, opening}, return_when=asyncio.FIRST_COMPLETED)
            if opened.is_set():
                await self._begin()
                if ready is not None:
                    ready.set()
            await following
        finally:
            self._open = False
            for task in (following, opening):
                task.cancel()
            await asyncio.gather(following, opening, return_exceptions=True)
            await asyncio.to_thread(self._sessions.close)

    async def _begin(self) -> None:
        self._open = True
        if not self._subscribed:
            self._subscribed = True
            await serve_queries(self._services, self)

    async def ask(self, tenant: str, question: Question) -> AsyncGenerator[Part]:
        """As :class:`~projections.analytics.queries.port.QueryEngine`."""
        if not self._open:
            # The directory of chDB is not ours now, and asking would take it.
            raise Unavailable("the analytics stand still", hint="the log of stig serve analytics says why")
        async for part in self._queries.ask(tenant, question):
            yield part
