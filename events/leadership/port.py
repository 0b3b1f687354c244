"""Keys with revisions, kept for all: what leadership needs of a store. Adapters: ``memory``, ``jetstream``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.errors import StigmergyError


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest value of a key. ``revision`` grows with every write of any key."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """A value for a key, written only if the key's revision is still ``last``; 0 if there must be none.

    Attributes:
        ttl_s: the store may forget it after so many whole seconds; None for never.
    """

    key: str
    value: bytes
    last: int
    ttl_s: int | None = None


class Keys(Protocol):
    """Keys are dotted tokens, such as ``orchestrator.part.7``."""

    async def open(self) -> None:
        """Make the store if it is not there. Raises :class:`~schemas.errors.LogUnavailable`."""

    async def put(self, writes: Sequence[Put]) -> list[int | StigmergyError]:
        """Write all of them in one round trip; for each its revision or what went wrong.

        :class:`~schemas.errors.Conflict`: the key has another revision. :class:`~schemas.errors.LogUnavailable`: nobody
        knows whether it was written.
        """

    async def get(self, key: str) -> Entry | None:
        """The newest entry. Raises :class:`~schemas.errors.LogUnavailable`."""

    def watch(self, group: str) -> AsyncIterator[list[Entry]]:
        """The keys that begin with ``group.``: first all there are, as one list that may be empty, then what changes,
        in order. Through lost connections it begins again where it was; then entries may come twice."""
