"""What several integration tests need of the machine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from events.jetstream import JetStreamLog
from workers.sandboxes.bubblewrap import BubblewrapSandbox


@pytest.fixture
def bubblewrap() -> BubblewrapSandbox:
    found = BubblewrapSandbox()
    if found.fault and not os.environ.get("CI"):
        pytest.skip(found.fault)
    assert not found.fault
    return found


@pytest.fixture
async def log(nats: Client) -> AsyncIterator[JetStreamLog]:
    """The log on the shared server, new and empty."""
    opened = await JetStreamLog.open(nats)
    yield opened
    await opened.close()
