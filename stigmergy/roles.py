"""The roles that a process can host, in one table: a line for each."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schemas.errors import InvalidInput
from stigmergy.archiving import make_archive
from stigmergy.settings import Settings
from stigmergy.wiring import (
    Bus,
    make_analytics,
    make_backlog,
    make_orchestrator,
    make_scaler,
    make_task_queue,
    make_world,
)


class Runs(Protocol):
    """What a role is to the process that hosts it."""

    async def run(self, ready: asyncio.Event) -> None:
        """Work for ever; ``ready`` is set when it does."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Modules that must be importable, and the extra of ours that brings them."""

    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)

    @property
    def mend(self) -> str:
        """How to install what is missing."""
        return f"pip install 'stigmergy[{self.extra}]'" if self.extra else ""


def _nothing(_: Settings) -> Needs:
    return Needs()


@dataclass(frozen=True, slots=True)
class Role:
    """One role.

    Attributes:
        make: makes it over a bus; imports what it needs only then.
        reads: it is a read model (``projections.port.Projection``).
        decides: it folds missions and decides upon them, and follows the log for that.
        everywhere: part of ``stig serve all``: what missions cannot do without. Read models stand beside: folding them
            takes time that a decision in the same process would wait for.
        needs: the packages it takes under these settings.
    """

    name: str
    make: Callable[[Bus, Settings], Runs]
    reads: bool = False
    decides: bool = False
    everywhere: bool = False
    needs: Callable[[Settings], Needs] = _nothing


def _analytics(settings: Settings) -> Needs:
    if settings.clickhouse_url is not None:
        return Needs(("pyarrow", "numpy", "clickhouse_connect"), "analytics")
    return Needs(("pyarrow", "numpy", "clickhouse_connect", "chdb"), "chdb")


ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role("orchestrator", make_orchestrator, decides=True, everywhere=True),
        Role("task-queue", make_task_queue, decides=True, everywhere=True),
        Role("world", make_world, reads=True),
        Role("archive", make_archive, reads=True, needs=lambda _: Needs(("pyarrow", "numpy"), "archive")),
        Role("analytics", make_analytics, reads=True, needs=_analytics),
        Role("scaler", make_scaler),
        Role("backlog", make_backlog),
    )
}


def role_named(name: str) -> Role:
    """Raises :class:`InvalidInput`, with the names there are."""
    if name not in ROLES:
        raise InvalidInput(f"there is no role {name!r}", hint=f"the roles are: {', '.join(ROLES)}, or all")
    return ROLES[name]


def everywhere() -> tuple[str, ...]:
    """What ``all`` means."""
    return tuple(role.name for role in ROLES.values() if role.everywhere)


def read_models() -> tuple[str, ...]:
    """The roles that are read models: what ``stig projections`` is about."""
    return tuple(role.name for role in ROLES.values() if role.reads)
