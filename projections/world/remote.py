"""The world model for processes that have no Redis: questions go to the service, see ``projections.world.service``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import structs

from events.services import Services
from projections.world.queries import RESULTS, Answer, Query

SERVICE = "world.query"
_MARGIN_S = 5.0


class Asked(Query, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A question on its way. ``form``: of the answer."""

    form: Literal["json", "msgpack"] = "json"


class RemoteWorld:
    """Asks the service. For :class:`~projections.world.queries.WorldView`."""

    def __init__(self, services: Services, tenant: str) -> None:
        self._services = services
        self._tenant = tenant

    async def ask(self, query: Query) -> Answer[Any]:
        """See :meth:`projections.world.reader.WorldReader.ask`; raises also Unavailable if nobody serves the world."""
        question = msgspec.json.encode(Asked(**structs.asdict(query), form="msgpack"))
        patience = query.timeout_s + _MARGIN_S
        parts = [part async for part in self._services.ask(self._tenant, SERVICE, question, timeout_s=patience)]
        answer: Answer[Any] = msgspec.msgpack.decode(b"".join(parts), type=RESULTS[query.about])
        return answer
