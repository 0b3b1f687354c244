"""Stigmergy: teams of agents on an event log. This is all that users import.

::

    from stigmergy import Agent, Client, Context

Everything else is the inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.ballots import ChoiceSpec as ChoiceSpec
    from schemas.ballots import Elector as Elector
    from schemas.ballots import Quorum as Quorum
    from schemas.ballots import VoteSpec as VoteSpec
    from schemas.envelope import Event as Event
    from schemas.errors import PeerBusy as PeerBusy
    from schemas.errors import PeerFailed as PeerFailed
    from schemas.errors import PeerTrouble as PeerTrouble
    from schemas.errors import PeerUnavailable as PeerUnavailable
    from schemas.errors import Permanent as Permanent
    from schemas.errors import Retryable as Retryable
    from schemas.errors import StigmergyError as StigmergyError
    from schemas.events import Payload as Payload
    from schemas.handoff import HandOffRule as HandOffRule
    from schemas.plan import GoalSpec as GoalSpec
    from schemas.plan import Group as Group
    from schemas.plan import Plan as Plan
    from schemas.plan import RetryPolicy as RetryPolicy
    from schemas.plan import TaskSpec as TaskSpec
    from stigmergy.client import Client as Client
    from stigmergy.mission_handle import MissionHandle as MissionHandle
    from stigmergy.settings import Settings as Settings
    from stigmergy.sync_client import SyncClient as SyncClient
    from workers.agents.base import Agent as Agent
    from workers.agents.base import answers as answers
    from workers.context import Context as Context
    from workers.peers.asked import Asked as Asked

_HOMES = {
    "Agent": "workers.agents.base",
    "Asked": "workers.peers.asked",
    "ChoiceSpec": "schemas.ballots",
    "Client": "stigmergy.client",
    "Context": "workers.context",
    "Elector": "schemas.ballots",
    "Event": "schemas.envelope",
    "GoalSpec": "schemas.plan",
    "Group": "schemas.plan",
    "HandOffRule": "schemas.handoff",
    "MissionHandle": "stigmergy.mission_handle",
    "Payload": "schemas.events",
    "PeerBusy": "schemas.errors",
    "PeerFailed": "schemas.errors",
    "PeerTrouble": "schemas.errors",
    "PeerUnavailable": "schemas.errors",
    "Permanent": "schemas.errors",
    "Plan": "schemas.plan",
    "Quorum": "schemas.ballots",
    "Retryable": "schemas.errors",
    "RetryPolicy": "schemas.plan",
    "Settings": "stigmergy.settings",
    "StigmergyError": "schemas.errors",
    "SyncClient": "stigmergy.sync_client",
    "TaskSpec": "schemas.plan",
    "VoteSpec": "schemas.ballots",
    "answers": "workers.agents.base",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a module with one agent in it should not load a client."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'stigmergy' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
