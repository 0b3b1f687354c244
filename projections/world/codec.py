"""Parts of the world as bytes: MessagePack, structures as arrays. Why not JSON: decision 15."""

from __future__ import annotations

from typing import Any

import msgspec

from projections.world.state import Agent, Claim, FileState, MissionState, TaskState, TestState, Tree

TYPES: dict[str, type[msgspec.Struct]] = {
    "mission": MissionState,
    "tasks": TaskState,
    "files": FileState,
    "trees": Tree,
    "claims": Claim,
    "tests": TestState,
    "agents": Agent,
}
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in TYPES.items()
}


def encode(part: msgspec.Struct) -> bytes:
    """One task, file, test … as it is stored."""
    return _encoder.encode(part)


def decode(kind: str, raw: bytes) -> Any:
    """One part of a kind in :data:`TYPES`. Raises :class:`msgspec.DecodeError` for bytes of another format."""
    return _decoders[kind].decode(raw)


def plain(value: Any) -> Any:
    """A part as JSON values with the names of its fields, for people and foreign programs."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value
