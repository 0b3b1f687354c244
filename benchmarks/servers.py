"""NATS and Valkey of one side of a benchmark, and what its processes have to know of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from stigmergy import Settings
from stigmergy.local.ephemeral import ThrowAwayServer, nats_server, valkey_server
from stigmergy.settings import PREFIX, SecretUrl

_url = TypeAdapter(SecretUrl)


@dataclass(frozen=True)
class Servers:
    """``env``: the environment of a process with these settings, and none of the caller's own."""

    nats: ThrowAwayServer
    valkey: ThrowAwayServer
    settings: Settings
    env: dict[str, str]


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Both, on free ports, with their data below ``folder``. Raises ToolMissing."""
    with nats_server(folder / "servers") as nats, valkey_server(folder / "servers") as valkey:
        settings = Settings(
            nats_url=_url.validate_python(nats.url),
            redis_url=_url.validate_python(valkey.url),
            state_dir=folder / "state",
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        yield Servers(nats, valkey, settings, env | settings.environment())
