"""The replicas of a role as a group."""

from __future__ import annotations

from nats.aio.client import Client

from events.leadership.group import Group
from events.leadership.jetstream import JetStreamKeys
from stigmergy.settings import Settings


def make_group(nc: Client, settings: Settings, role: str, name: str) -> Group:
    """This process among the replicas of a role that share missions out."""
    keys = JetStreamKeys(nc, replicas=settings.nats_replicas)
    return Group(keys, role, name, partitions=settings.partitions)
