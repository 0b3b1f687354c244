"""Questions and answers over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from events.services import NatsServices
from schemas.errors import InvalidInput, Refused, StigmergyError, TimedOut, Unavailable


async def _all(services: NatsServices, service: str, question: bytes, timeout_s: float = 5.0) -> list[bytes]:
    return [part async for part in services.ask("acme", service, question, timeout_s=timeout_s)]


async def test_an_answer_comes_in_parts_and_knows_the_tenant(nats: Client) -> None:
    services = NatsServices(nats)

    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        yield tenant.encode()
        yield question

    await services.serve("parts.echo", answer)
    assert await _all(services, "parts.echo", b"how?") == [b"acme", b"how?"]


async def test_an_empty_answer_is_an_answer(nats: Client) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        return
        yield b""

    services = NatsServices(nats)
    await services.serve("nothing.said", answer)
    assert await _all(services, "nothing.said", b"") == []


@pytest.mark.parametrize("error", [Refused("no: “später”", hint="later"), InvalidInput("what?"), StigmergyError("x")])
async def test_a_refusal_is_raised_where_it_was_asked(nats: Client, error: StigmergyError) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    services = NatsServices(nats)
    name = f"refuses.{error.code}"
    await services.serve(name, answer)
    with pytest.raises(type(error)) as caught:
        await _all(services, name, b"")
    assert (caught.value.message, caught.value.hint) == (error.message, error.hint)


async def test_a_mistake_of_the_service_is_told_and_the_service_goes_on(nats: Client) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        yield bytes([10 // len(question)])

    services = NatsServices(nats)
    await services.serve("divides", answer)
    with pytest.raises(StigmergyError, match="could not be answered"):
        await _all(services, "divides", b"")
    assert await _all(services, "divides", b"ab") == [b"\x05"]


async def test_nobody_and_too_late_are_told_apart(nats: Client) -> None:
    async def answer(tenant: str, question: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(5)
        yield b""

    services = NatsServices(nats)
    with pytest.raises(Unavailable, match="nobody serves nowhere"):
        await _all(services, "nowhere.at-all", b"")
    await services.serve("slow", answer)
    with pytest.raises(TimedOut):
        await _all(services, "slow", b"", timeout_s=0.2)
