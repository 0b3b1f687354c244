"""The engine inside a process belongs to that process: others ask it over NATS, and notice no difference."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from events.services import PART_BYTES, Services
from projections.analytics.queries.port import Batch, Column, Heading, Part, QueryEngine, Question, restored
from schemas.errors import InvalidInput, LimitExceeded, StigmergyError, Unavailable

SERVICE = "analytics.query"
PATIENCE_S = 45.0
"""Longer than any question may take (:class:`~projections.analytics.queries.clickhouse.Limits`)."""
_MOST_BYTES = 900 * 1024
_parts: msgspec.msgpack.Decoder[Part] = msgspec.msgpack.Decoder(Part)
_questions = msgspec.msgpack.Decoder(Question)


async def serve_queries(services: Services, engine: QueryEngine) -> None:
    """Answer the questions of other processes until the connection is closed."""

    async def answer(tenant: str, asked: bytes) -> AsyncIterator[bytes]:
        try:
            question = _questions.decode(asked)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise InvalidInput(f"this is no question: {error}", hint="both sides need the same release") from error
        async for part in engine.ask(tenant, question):
            raw = msgspec.msgpack.encode(part)
            if len(raw) > _MOST_BYTES:
                raise LimitExceeded(
                    f"one row of the answer has {len(raw):,} bytes; {_MOST_BYTES:,} is the most",
                    hint="select fewer columns, or cut long ones: substring(data, 1, 1000)",
                )
            yield raw

    assert PART_BYTES < _MOST_BYTES
    await services.serve(SERVICE, answer)


class RemoteQueries:
    """Asks whichever process serves the queries; see :class:`~projections.analytics.queries.port.QueryEngine`."""

    def __init__(self, services: Services, *, timeout_s: float = PATIENCE_S) -> None:
        self._services = services
        self._timeout_s = timeout_s

    async def ask(self, tenant: str, question: Question) -> AsyncGenerator[Part]:
        columns: tuple[Column, ...] = ()
        asked = msgspec.msgpack.encode(question)
        try:
            async for raw in self._services.ask(tenant, SERVICE, asked, timeout_s=self._timeout_s):
                part = _read(raw)
                if isinstance(part, Heading):
                    columns = part.columns
                elif isinstance(part, Batch):
                    part = Batch(restored(columns, part.rows))
                yield part
        except Unavailable as error:
            if not error.message.startswith("nobody serves"):
                raise
            raise Unavailable(
                "no process answers queries",
                hint="start one that has the analytics engine: stig serve analytics; "
                "or name a ClickHouse server in STIGMERGY_CLICKHOUSE_URL",
            ) from error


def _read(raw: bytes) -> Part:
    try:
        return _parts.decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StigmergyError(f"the answer cannot be read: {error}", hint="both sides need the same release") from error
