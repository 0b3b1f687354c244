"""The log on NATS JetStream."""

from events.jetstream.connection import connect
from events.jetstream.log import JetStreamLog
from events.jetstream.streams import ensure_streams

__all__ = ["JetStreamLog", "connect", "ensure_streams"]
