"""Who may write what: every noun has one kind of writer.

The table is data, so that whoever enforces it (permissions of the message server) and whoever describes it (the
AsyncAPI document) read the same lines. A new noun gets a line here; a tidy test refuses a noun without an owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from schemas.errors import UnknownType


class Role(StrEnum):
    """The kinds of process that write events."""

    ORCHESTRATOR = "orchestrator"
    TASK_QUEUE_MANAGER = "task-queue-manager"
    WORKER = "worker"
    SCALER = "scaler"
    CLIENT = "client"


OWNERS: Mapping[str, Role] = MappingProxyType(
    {
        "mission": Role.ORCHESTRATOR,
        "goal": Role.ORCHESTRATOR,
        "task": Role.ORCHESTRATOR,
        "ballot": Role.ORCHESTRATOR,
        "command": Role.ORCHESTRATOR,
        "reflex": Role.ORCHESTRATOR,
        "orchestrator": Role.ORCHESTRATOR,
        "action": Role.TASK_QUEUE_MANAGER,
        "world": Role.TASK_QUEUE_MANAGER,
        "fleet": Role.TASK_QUEUE_MANAGER,
        "manager": Role.TASK_QUEUE_MANAGER,
        "pool": Role.SCALER,
        "attempt": Role.WORKER,
        "agent": Role.WORKER,
        "tool": Role.WORKER,
        "llm": Role.WORKER,
        "worker": Role.WORKER,
        "workspace": Role.WORKER,
        "note": Role.CLIENT,
    }
)

UNFRAMED = frozenset({"mission"})
"""Nouns whose events always travel one to a message: open missions are found by the subjects of these events."""


def owner_of(noun: str) -> Role:
    """The role that writes the events of a noun. Raises :class:`UnknownType` for a noun nobody owns."""
    role = OWNERS.get(noun)
    if role is None:
        raise UnknownType(f"no role owns the noun {noun!r}", hint="give it a line in schemas/ownership.py")
    return role


def nouns_of(role: Role) -> tuple[str, ...]:
    """The nouns that a role writes, in alphabetical order."""
    return tuple(sorted(noun for noun, owner in OWNERS.items() if owner is role))
