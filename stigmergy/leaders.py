"""Who leads: the groups of replicas, their members, and who has which partition or seat."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import BaseModel

from events.leadership.jetstream import JetStreamKeys
from events.leadership.session import LEASE_S
from events.leadership.view import View
from stigmergy.client import Client

_LISTEN_S = LEASE_S / 3


class MemberView(BaseModel, frozen=True):
    """A member of a group, or one that was. ``why``: of one that is gone.

    Attributes:
        state: here, leaving, gone, or silent: it should have given a sign of life and has not.
    """

    name: str
    state: str
    since: datetime
    until: datetime | None
    why: str
    partitions: tuple[int, ...]


class GroupView(BaseModel, frozen=True):
    """A role whose replicas share partitions out; a seat is a group of one partition.

    Attributes:
        led: how many partitions somebody leads.
        changed: when a partition last went to somebody; ``change``: to whom, from whom and why.
    """

    name: str
    partitions: int
    led: int
    members: tuple[MemberView, ...]
    changed: datetime | None
    change: str


async def leaders(client: Client) -> list[GroupView]:
    """All groups there are, by name; takes a second, in which whoever lives is heard of.

    Raises:
        LogUnavailable: NATS does not answer.
    """
    before = await _views(client)
    await asyncio.sleep(_LISTEN_S)
    now = await _views(client)
    return [_group(name, view, before.get(name, View(name))) for name, view in sorted(now.items())]


async def _views(client: Client) -> dict[str, View]:
    views: dict[str, View] = {}
    for entry in await JetStreamKeys(client.bus.nc).all():
        name = entry.key.partition(".")[0]
        views.setdefault(name, View(name)).take(entry, 0.0)
    return views


def _group(name: str, view: View, before: View) -> GroupView:
    owners = view.owners()
    parts: dict[str, list[int]] = {}
    for part, owner in sorted(owners.items()):
        parts.setdefault(owner, []).append(part)
    members = [
        MemberView(
            name=who,
            state="silent" if seen.record.state != "gone" and before.members.get(who) == seen else seen.record.state,
            since=_at(seen.record.since),
            until=_at(seen.record.until) if seen.record.until else None,
            why=seen.record.why,
            partitions=tuple(parts.get(who, ())),
        )
        for who, seen in sorted(view.members.items())
    ]
    members.sort(key=lambda member: (member.state == "gone", member.since))
    newest = max((view.parts[part].record for part in owners), key=lambda part: part.since, default=None)
    change = ""
    if newest is not None:
        change = f"{newest.member}" + (f" follows {newest.before}" if newest.before else " is the first")
        change += f": {newest.why}" if newest.why else ""
    return GroupView(
        name=name,
        partitions=view.shape[0].partitions if view.shape is not None else 1,
        led=len(owners),
        members=tuple(members),
        changed=_at(newest.since) if newest is not None else None,
        change=change,
    )


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
