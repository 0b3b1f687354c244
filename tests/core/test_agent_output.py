"""What an agent may return: JSON that whoever comes after can still read."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import StigmergyError
from schemas.json_depth import nests_deeper
from workers.output import DEEPEST, plain_output


def nested(depth: int) -> dict[str, Any]:
    """An object that nests so deep, objects and lists in turn."""
    value: Any = {}
    for level in range(depth - 1):
        value = [value] if level % 2 else {"within": value}
    return value if isinstance(value, dict) else {"within": value[0]}


def test_plain_values_pass() -> None:
    assert plain_output(None) == {}
    assert plain_output({"pair": (1, 2), "text": "[{" * 1000}) == {"pair": [1, 2], "text": "[{" * 1000}
    assert plain_output(nested(DEEPEST)) == nested(DEEPEST)


@pytest.mark.parametrize("output", [[1], {"a": object()}, nested(DEEPEST + 1), nested(400)], ids=type)
def test_all_else_is_refused(output: Any) -> None:
    with pytest.raises(StigmergyError, match="output"):
        plain_output(output)


def test_depth_is_counted_exactly() -> None:
    assert not nests_deeper("text", 0)
    assert nests_deeper({}, 0)
    assert nests_deeper({"a": [[], {"b": 1}]}, 2)
    assert not nests_deeper({"a": [[], {"b": 1}]}, 3)
