"""Consumers of streams: short-lived ones for readers, durable ones for subscriptions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client

from events.jetstream.api import NOT_FOUND, ApiRefused, call
from events.port import Subscription, Window
from schemas.envelope import rfc3339
from schemas.errors import InvalidInput, LogUnavailable
from schemas.ids import token

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Consumer:
    """``pending``: how many messages it would deliver as things stand."""

    name: str
    pending: int


class Consumers:
    """Creates and drops consumers over one connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def ephemeral(self, stream: str, window: Window, *, timeout_s: float = 5.0) -> Consumer:
        """A consumer without acknowledgements that the server forgets a minute after its reader.

        A cluster may give it to a server that has just died: then nobody answers, and another try has another name.
        """
        config: dict[str, Any] = {
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 60 * _SECOND,
            **_filtered(window.filters),
        }
        if window.since is not None:
            config |= {"deliver_policy": "by_start_time", "opt_start_time": rfc3339(window.since)}
        elif window.first > 1:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": window.first}
        else:
            config |= {"deliver_policy": "all"}
        name = secrets.token_hex(8)
        answer = await self._create(stream, name, config, timeout_s)
        return Consumer(name, int(answer.get("num_pending", 0)))

    async def newest(self, stream: str, subject: str, *, timeout_s: float = 5.0) -> int:
        """Sequence of the newest message of a subject, wildcards allowed; 0 if there is none.

        A consumer that begins with it says where that is. Getting the message itself would be one request less, but no
        role may: its answer could be had on a subject where the role may not write.
        """
        name = secrets.token_hex(8)
        config = {
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 5 * _SECOND,
            **_filtered((subject,)),
            "deliver_policy": "last",
        }
        answer = await self._create(stream, name, config, timeout_s)
        await self.drop(stream, name)
        return int(answer["delivered"]["stream_seq"]) + 1 if answer.get("num_pending") else 0

    async def durable(self, stream: str, subscription: Subscription) -> None:
        """Create the durable consumer of a subscription, or bring the existing one up to date.

        Raises:
            InvalidInput: the name is no token, or the filters overlap.
            LogUnavailable: JetStream does not answer, or refuses.
        """
        token(subscription.name, "subscription")
        config: dict[str, Any] = {
            "durable_name": subscription.name,
            "ack_policy": "explicit",
            "ack_wait": int(subscription.ack_wait_s * _SECOND),
            "max_ack_pending": max(subscription.batch * 4, 1000),
            **_filtered(subscription.filters),
            "deliver_policy": "new" if subscription.start_new else "all",
        }
        try:
            present = (await call(self._nc, f"CONSUMER.INFO.{stream}.{subscription.name}"))["config"]
            # Where it began cannot be changed afterwards, and need not be.
            config["deliver_policy"] = present["deliver_policy"]
        except ApiRefused as error:
            if error.number not in NOT_FOUND:
                raise
        await self._create(stream, subscription.name, config)

    async def drop(self, stream: str, name: str) -> None:
        """Delete a consumer; one that is gone already is fine."""
        if self._nc.is_closed or not self._nc.is_connected:
            return  # the server forgets it by itself
        try:
            await call(self._nc, f"CONSUMER.DELETE.{stream}.{name}", timeout_s=1.0)
        except LogUnavailable:
            return

    async def _create(self, stream: str, name: str, config: dict[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
        request = {"stream_name": stream, "config": {"name": name, **config}, "action": ""}
        only = config.get("filter_subject")
        # With its one filter in the subject, which the server compares with the request: so the permissions of a user
        # can say what may be read (stigmergy.deploy.nats_permissions).
        subject = f"CONSUMER.CREATE.{stream}.{name}{f'.{only}' if only else ''}"
        try:
            return await call(self._nc, subject, request, timeout_s=timeout_s)
        except ApiRefused as error:
            if error.number in {10136, 10138, 10139}:
                raise InvalidInput(
                    f"the filters {config.get('filter_subjects', [only])} cannot be used: {error.message}"
                ) from error
            raise


def _filtered(filters: Sequence[str]) -> dict[str, Any]:
    return {"filter_subject": filters[0]} if len(filters) == 1 else {"filter_subjects": list(filters)}
