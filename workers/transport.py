"""kombu's Redis transport with one client a channel.

kombu makes a new client object for every command outside its event loop; each builds a table of 170 response callbacks,
which takes 0.25 ms, several times a message. The connections come from the same pool either way, so the client can as
well be kept.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that keeps its synchronous client."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept is None:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(redis.Transport):
    """The transport with these channels; named in Celery's setting ``broker_transport``."""

    Channel = Channel
