"""kombu's Redis transport with one client a channel, and without a trap.

kombu makes a new client object for every command outside its event loop; each builds a table of 170 response callbacks,
which takes 0.25 ms, several times a message. The connections come from the same pool either way, so the client can as
well be kept.

The trap: an acknowledgement that fails because Redis is away is logged by Celery, and the message stays among those in
hand for ever. With all slots of a pool so taken, the pool asks for nothing more and so never notices that it should
connect again: it stands still. Here such a message is let go of. It may come again, which is harmless.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Counts what is in hand; what cannot be acknowledged is not in hand any more."""

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


class Channel(redis.Channel):
    """A channel that keeps its synchronous client."""

    QoS = QoS
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
