"""What is kept of leadership in the bucket ``LEADERS``: who takes part in a group, and who leads which partition.

Keys: ``<group>.shape``, ``<group>.member.<name>`` and ``<group>.part.<number>``. A seat is a group of one partition.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Literal

import msgspec

BUCKET = "LEADERS"
SHAPE = "shape"
MEMBER = "member"
PART = "part"
PARTITIONS = 32
"""How many partitions missions are divided into unless the settings say otherwise."""


class Shape(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many partitions a group shares out: all its members must agree."""

    partitions: int


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member's session. It is written again and again while the member lives.

    Attributes:
        nonce: of this session; who joins again has another one.
        state: ``here``, ``leaving`` (it gives back what it leads), or ``gone``.
        since: when it joined, in seconds of the Unix clock; ``until``: when it was gone.
        why: of what is gone, the reason.
        machine, pid: where its process is; ``machine`` is empty where that cannot be told.
    """

    nonce: str
    state: Literal["here", "leaving", "gone"] = "here"
    since: float = 0.0
    until: float = 0.0
    why: str = ""
    machine: str = ""
    pid: int = 0


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who leads a partition.

    Attributes:
        member: empty if nobody does. It counts only while the member's session does.
        since: when that began, in seconds of the Unix clock.
        before: who led it before.
        why: how it came to its leader, or why it was given back.
    """

    member: str = ""
    since: float = 0.0
    before: str = ""
    why: str = ""


@lru_cache(maxsize=4096)
def part_of(tenant: str, mission: str, partitions: int) -> int:
    """The partition of a mission: the same in every process and release. CRC-32 of ``tenant.mission``, modulo."""
    return zlib.crc32(f"{tenant}.{mission}".encode()) % partitions
