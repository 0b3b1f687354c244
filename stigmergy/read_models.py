"""Read models seen from outside: how each does, and having one made anew by the process that hosts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from events.services import Services
from projections.hosting import ProjectionStatus, RebuildStep, RebuildWish
from schemas.errors import StigmergyError, Unavailable

_status = msgspec.json.Decoder(ProjectionStatus)
_step = msgspec.json.Decoder(RebuildStep)


async def statuses(
    services: Services, tenant: str, names: Sequence[str], *, timeout_s: float = 3.0
) -> dict[str, ProjectionStatus | StigmergyError]:
    """What the host of each says; :class:`Unavailable` in its place where nobody hosts it."""
    found = await asyncio.gather(*(_ask(services, tenant, name, timeout_s) for name in names))
    return dict(zip(names, found, strict=True))


async def needed_by_read_models(services: Services, tenant: str) -> dict[str, int]:
    """By name of each read model that answers, the archive left out: the first sequence it has not taken in."""
    from stigmergy.roles import read_models

    names = [name for name in read_models() if name != "archive"]
    needed: dict[str, int] = {}
    for name, found in (await statuses(services, tenant, names)).items():
        if isinstance(found, ProjectionStatus):
            rebuilding = found.state == "rebuilding"
            needed[name] = 1 + (min(found.position, found.rebuilt) if rebuilding else found.position)
    return needed


async def rebuild(services: Services, tenant: str, name: str, to: int | None) -> AsyncIterator[RebuildStep]:
    """Have a read model folded from the log again; its steps as they come, the last one ``done``.

    Whoever stops listening does not stop the rebuild.

    Raises:
        Unavailable: no process hosts it. InvalidInput: ``to`` is beyond the log.
        Refused: it cannot be made anew, or is being made anew already.
    """
    question = msgspec.json.encode(RebuildWish(to))
    async with aclosing(services.ask(tenant, f"{name}.rebuild", question, timeout_s=30.0)) as answer:
        async for part in answer:
            yield _step.decode(part)


async def _ask(services: Services, tenant: str, name: str, timeout_s: float) -> ProjectionStatus | StigmergyError:
    try:
        parts = [part async for part in services.ask(tenant, f"{name}.status", b"", timeout_s=timeout_s)]
    except StigmergyError as error:
        return error
    return _status.decode(parts[0]) if parts else Unavailable(f"{name} gave no answer")
