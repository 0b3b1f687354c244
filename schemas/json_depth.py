"""How deep JSON nests, told without reading it."""

from __future__ import annotations

DEEPEST = 200
"""pydantic reads JSON that nests up to 201 deep, and writes up to 255: nothing of ours should come near."""
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def may_nest_deeper(raw: bytes, than: int = DEEPEST) -> bool:
    """Whether JSON may nest deeper; False is certain, brackets within texts may make it True."""
    if raw.count(b"[") + raw.count(b"{") <= than:
        return False
    brackets = raw.translate(None, _OTHERS)
    for _ in range(than):
        inner_gone = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not inner_gone:
            return False
        if len(inner_gone) == len(brackets):
            return True
        brackets = inner_gone
    return True
