"""What several integration tests need of the machine."""

from __future__ import annotations

import os

import pytest

from workers.sandboxes.bubblewrap import BubblewrapSandbox


@pytest.fixture
def bubblewrap() -> BubblewrapSandbox:
    found = BubblewrapSandbox()
    if found.fault and not os.environ.get("CI"):
        pytest.skip(found.fault)
    assert not found.fault
    return found
