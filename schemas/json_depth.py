"""How deep JSON nests."""

from __future__ import annotations

from typing import Any

DEEPEST = 200
"""pydantic reads JSON that nests up to 201 deep, and writes up to 255: nothing of ours should come near."""
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def nests_deeper(value: Any, than: int) -> bool:
    """Whether plain JSON values nest deeper; a text or a number is 0 deep."""
    level = [value]
    for _ in range(than + 1):
        within = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list))]
        if not within:
            return False
        level = [inner for each in within for inner in each]
    return True


def may_nest_deeper(raw: bytes, than: int = DEEPEST) -> bool:
    """Whether JSON may nest deeper, without reading it: False is certain, brackets within texts may make it True."""
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
