"""The names of keys. Everything of one tenant has one hash tag, so that it lies in one slot of a cluster.

::

    stig:{acme}:world                     which generation readers read
    stig:{acme}:w3:meta                   position, epoch of its writer, format, events that could not be read
    stig:{acme}:w3:missions               mission to when it expires (sorted set)
    stig:{acme}:w3:mission:<id>           one mission; beside it hashes: tasks:<id>, files:<id>, trees:<id> …
    stig:{acme}:w3:agents                 worker to agent
    stig:{stig-world}:state               generation, low-water mark, positions of tenants (the writer's own)

``tests/core`` checks that every key of a call has the same tag.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("tasks", "files", "trees", "claims", "tests")
_OURS = "stig:{stig-world}:"
STATE = f"{_OURS}state"
GENERATIONS = f"{_OURS}generations"
WRITER = "writer"
"""The lock of the one writer, see :func:`lock`."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one tenant in one generation."""

    tenant: str
    generation: int

    @property
    def pointer(self) -> str:
        return f"stig:{{{self.tenant}}}:world"

    @property
    def channel(self) -> str:
        """Where changes are told (Redis publish/subscribe)."""
        return f"stig:{{{self.tenant}}}:changes"

    @property
    def meta(self) -> str:
        return f"{self._prefix}meta"

    @property
    def missions(self) -> str:
        return f"{self._prefix}missions"

    @property
    def agents(self) -> str:
        return f"{self._prefix}agents"

    def mission(self, mission: str) -> str:
        return f"{self._prefix}mission:{mission}"

    def part(self, part: str, mission: str) -> str:
        """The hash with one of :data:`PARTS` of a mission."""
        return f"{self._prefix}{part}:{mission}"

    @property
    def everything(self) -> str:
        """A pattern that matches all keys of this generation, for SCAN."""
        return f"{self._prefix}*"

    @property
    def _prefix(self) -> str:
        return f"stig:{{{self.tenant}}}:w{self.generation}:"


def lock(tenant: str, name: str) -> str:
    """The key of a lock; the counter of its tokens is beside it, in the same slot."""
    return f"stig:{{{tenant}}}:lock:{name}"


def writer_lock() -> tuple[str, str]:
    """Tenant and name under which the one writer of all tenants holds its lock."""
    return "stig-world", WRITER


def tag(key: str) -> str:
    """What a cluster hashes of a key: what stands in the first braces."""
    return key.partition("{")[2].partition("}")[0]
