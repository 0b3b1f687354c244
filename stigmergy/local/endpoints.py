"""Where the servers of a stack answer, secrets included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stigmergy.settings import PREFIX, SecretUrl


@dataclass(frozen=True)
class Endpoints:
    """URLs with their secrets, which they do not show; ``pids`` are those of the embedded servers."""

    nats_url: SecretUrl
    redis_url: SecretUrl
    pids: Mapping[str, int] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables by which another process of ours finds the same servers."""
        return {
            f"{PREFIX}NATS_URL": self.nats_url.get_secret_value(),
            f"{PREFIX}REDIS_URL": self.redis_url.get_secret_value(),
        }
