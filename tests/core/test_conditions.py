"""Conditions and shapes: what they can say, and what they cannot be made to do."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.conditions import check_condition, holds
from schemas.json_shape import check_shape, misfits

VALUES = {"output": {"n": 3, "name": "x", "list": [1, 2]}, "inputs": {}, "changes": None, "exit_code": 0}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("output.n == 3 and exit_code == 0", True),
        ("output['n'] + 1 < 4", False),
        ("len(output.list) == max(output.list)", True),
        ("'x' in output.name and not changes", True),
        ("1 < output.n <= 3", True),
        ("output.list[0] if output.n else 0", True),
        ("changes is None", True),
    ],
)
def test_conditions(text: str, truth: bool) -> None:
    assert holds(text, VALUES) is truth


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "output.__class__()", "open('x')", "(lambda: 1)()", "[x for x in output]", "2 ** 99", "",
     "len(output, key=1)", "f'{output}'", "b'x'", "unknown > 1", "output := 1", "(" * 500],
)  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="condition"):
        check_condition(text)


@pytest.mark.parametrize(
    "text", ["output.m", "output.n[0]", "exit_code / 0", "'x' * 9999", "output.__class__", "tests"]
)
def test_what_cannot_be_told(text: str) -> None:
    with pytest.raises(ValueError, match="Error"):
        holds(text, VALUES)


SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["n"],
    "additionalProperties": False,
    "properties": {
        "n": {"type": "integer", "minimum": 0, "maximum": 5},
        "s": {"type": "string", "minLength": 1, "maxLength": 3},
        "l": {"type": "array", "items": {"enum": [1, "a", None, True]}, "minItems": 1, "maxItems": 2},
    },
}
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 7) | st.floats(allow_nan=False, width=16) | st.text("ab", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "s", "l", "x"]), inner),
    max_leaves=6,
)


@given(_values)
def test_shapes_mean_what_json_schema_means(value: Any) -> None:
    agrees = jsonschema.Draft202012Validator(SHAPE).is_valid(value)
    assert (not list(misfits(value, SHAPE))) is agrees


@pytest.mark.parametrize("shape", [{"pattern": "x"}, {"type": "text"}, {"items": []}, {"minimum": "1"}, []])
def test_a_shape_that_is_not_understood_is_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match="schema"):
        check_shape(shape)
