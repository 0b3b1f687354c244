"""Large payloads of any shape are read on another way than small ones, and come out the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope import Event
from schemas.errors import InvalidEvent
from schemas.events import parse, payload_types
from schemas.events.attempt import AttemptFinished

LOOSE = [kind for kind in payload_types().values() if kind.LOOSE]
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_ANYTHING = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)


def event(data: bytes, type_: str = "attempt.finished") -> Event:
    return Event(id="i", source="/t", type=type_, time="", tenant="t", data=msgspec.Raw(data))


def test_some_types_are_loose() -> None:
    assert {"attempt.finished", "task.ready", "task.adopted"} <= {kind.TYPE for kind in LOOSE}


@settings(deadline=None, derandomize=True, max_examples=80)
@given(output=st.dictionaries(st.text(), _ANYTHING, max_size=5))
def test_both_ways_give_the_same(output: dict[str, Any]) -> None:
    try:
        said = AttemptFinished(task="t", attempt=1, worker="w", outcome="succeeded", output={**output, "x": "x" * 2000})
        raw = said.model_dump_json().encode()
    except ValueError:
        return  # half of a surrogate is no JSON
    assert parse(event(raw)) == AttemptFinished.model_validate_json(raw)


@pytest.mark.parametrize(
    "more",
    [
        '"outcome":"perhaps"',
        '"outcome":"failed","attempt":"one"',
        '"outcome":"failed","nobody":1',
        '"outcome":"failed","output":[]',
        '"outcome":',
    ],
)
def test_what_does_not_fit_is_named_alike(more: str) -> None:
    said = {}
    for size in (1, 5000):
        raw = f'{{"task":"{"t" * size}","attempt":1,"worker":"w",{more}}}'.encode()
        with pytest.raises(InvalidEvent) as raised:
            parse(event(raw))
        said[size] = raised.value.message.partition("schema: ")[2].partition(":")[0]  # the field
    assert said[1] == said[5000]


def test_numbers_beyond_json_are_taken_as_before() -> None:
    padding = "x" * 2000
    raw = (
        f'{{"task":"t","attempt":1,"worker":"{padding}","outcome":"failed","output":{{"n":NaN,"m":{10**30}}}}}'.encode()
    )
    found = parse(event(raw))
    assert isinstance(found, AttemptFinished)
    assert found.output["n"] != found.output["n"]
    assert found.output["m"] == 10**30


@pytest.mark.parametrize("depth", [250, 300, 31000])
@pytest.mark.parametrize("padding", [1, 2000])
def test_what_nests_without_end_is_refused(depth: int, padding: int) -> None:
    """Written again, in the inputs of the next task, it would bring down whoever decides; deeper still, when read."""
    output = b'{"x":%s,"padding":"%s"}' % (b"[" * depth + b"]" * depth, b"x" * padding)
    raw = b'{"task":"t","attempt":1,"worker":"w","outcome":"succeeded","output":%s}' % output
    with pytest.raises(InvalidEvent, match="recursion limit"):
        parse(event(raw))


def test_brackets_within_texts_do_not_nest() -> None:
    raw = b'{"task":"t","attempt":1,"worker":"%s","outcome":"failed","output":{"n":[]}}' % (b"[{" * 1000)
    assert parse(event(raw)) == AttemptFinished.model_validate_json(raw)
