"""The vocabulary of facts: one class an event type, one file a noun. The registry finds them all.

To add a type, write a subclass of :class:`schemas.events.base.Payload` in the file of its noun. A new noun is a new
file and a line in ``schemas/ownership.py``; nothing else needs to know.
"""

from schemas.events.base import Payload
from schemas.events.registry import check_readable, parse, payload_types, type_named

__all__ = ["Payload", "check_readable", "parse", "payload_types", "type_named"]
