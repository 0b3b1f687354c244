"""Stacks for the acceptance tests. Those that nothing is killed in share one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ToolMissing
from stigmergy import Client
from tests.acceptance.stack import MISBEHAVING, ROOT, Stack, running

_SHOWN = 12_000


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for all tests that leave it as they found it, with agents that misbehave on demand."""
    mine = [str(ROOT / "examples" / name) for name in ("my_agents.py", "voters.py")]
    deciders = str(ROOT / "tests" / "acceptance" / "deciders.py")
    yield from _stack(tmp_path_factory.mktemp("shared"), imports=(MISBEHAVING, *mine, deciders), grace_s=2.0)


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from _stack(tmp_path_factory.mktemp("fragile"), split=True, pools=("pool", "other"))


@pytest.fixture
def stack(fragile: Stack) -> Stack:
    """A stack to kill things in: a process for each role, two pools, and all of it is there when the test begins."""
    fragile.mend()
    return fragile


@pytest.fixture
async def client(shared: Stack) -> AsyncIterator[Client]:
    """A client of the shared stack."""
    async with Client(shared.settings) as connected:
        yield connected


def _stack(folder: Path, **how: Any) -> Iterator[Stack]:
    context = running(folder, **how)
    try:
        made = context.__enter__()
    except ToolMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error}: {error.hint}")
    try:
        yield made
    finally:
        context.__exit__(None, None, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the processes beside a failure."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Stack):
                for name, text in value.logs():
                    report.sections.append((f"log of {name}", text[-_SHOWN:]))  # type: ignore[attr-defined]
    return report
