"""Where a message stands, read from its acknowledgement subject.

``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>``, or with
domain and account hash in front of the stream: https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

from typing import NamedTuple

from nats.aio.msg import Msg


class Place(NamedTuple):
    """``sequence`` in the stream, ``order`` in what this consumer delivered, ``pending`` messages still to come."""

    delivered: int
    sequence: int
    order: int
    time_ns: int
    pending: int


def place_of(msg: Msg) -> Place:
    """The place of a message that JetStream delivered."""
    fields = msg.reply.split(".")
    at = 4 if len(fields) == 9 else 6
    delivered, sequence, order, time_ns, pending = fields[at : at + 5]
    return Place(int(delivered), int(sequence), int(order), int(time_ns), int(pending))
