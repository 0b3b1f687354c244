"""References: what can be written, what it stands for, and what is said when it stands for nothing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.references import (
    EVERY,
    JSON,
    MappingScope,
    Reference,
    ReferenceMissing,
    escape,
    parse,
    references,
    resolve,
    sole_reference,
    split_task,
)
from schemas.errors import InvalidWorkflow

SCOPE = MappingScope(
    {
        "inputs": {"depth": 3, "name": "Ada", "on": True, "nothing": None},
        "analyze": {"output": {"groups": [{"id": "a", "files": ["x.py"]}, {"id": "b", "files": []}]}},
        "repair": [{"item": {"id": "a"}, "fix": {"workspace": {"digest": "1"}}}, {"item": {"id": "b"}, "fix": {}}],
    }
)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("inputs", ("inputs",)),
        ("inputs.x.y", ("inputs", "x", "y")),
        ("a-b.output.c_d~e", ("a-b", "output", "c_d~e")),
        ("repair[*].fix.output.x", ("repair", EVERY, "fix", "output", "x")),
        ("a.output[0][12].b", ("a", "output", 0, 12, "b")),
        ("a.0", ("a", "0")),
    ],
)
def test_a_path_is_parsed_and_spelt_again(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse(path) == Reference(steps)
    assert str(parse(path)) == f"${{{path}}}"


@pytest.mark.parametrize(
    "path",
    ["", ".", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[-1]", "a[x]", "a[*", "a b", "a.b c", "-a", "a['x']", "é"],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidWorkflow, match="is no reference"):
        parse(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${inputs.depth}", 3),
        ("${inputs.nothing}", None),
        ("depth ${inputs.depth} for ${inputs.name}", "depth 3 for Ada"),
        ("${inputs.on}${inputs.nothing}", "truenull"),
        ("files: ${analyze.output.groups[0].files}", 'files: ["x.py"]'),
        ("${analyze.output.groups[*].id}", ["a", "b"]),
        ("${analyze.output.groups[*].files[*]}", [["x.py"], []]),
        ("${repair[*].item}", [{"id": "a"}, {"id": "b"}]),
        ("${repair[0].fix.workspace}", {"digest": "1"}),
        ("$${inputs.depth}", "${inputs.depth}"),
        ("$$${inputs.depth}", "$${inputs.depth}"),
        ("$5 and {x}", "$5 and {x}"),
        ({"a": ["${inputs.depth}", ("${inputs.name}",)], "b": 1.5}, {"a": [3, ("Ada",)], "b": 1.5}),
        (None, None),
    ],
)
def test_references_are_replaced(value: Any, expected: Any) -> None:
    before = copy.deepcopy(value)
    found = resolve(value, SCOPE)
    assert found == expected
    assert type(found) is type(expected)
    assert value == before


def test_what_a_value_holds_is_not_resolved_again() -> None:
    scope = MappingScope({"a": {"output": "${inputs.secret}"}, "inputs": {"secret": "s"}})
    assert resolve("${a.output}", scope) == "${inputs.secret}"
    assert resolve("<${a.output}>", scope) == "<${inputs.secret}>"


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("${analyze.output.gruops}", "analyze.output has no 'gruops', it has 'groups'", "did you mean 'groups'?"),
        ("${nobody.output}", "the scope has no 'nobody', it has 'analyze', 'inputs', 'repair'", "there is 'analyze'"),
        ("${analyze.output.groups[7]}", "analyze.output.groups is a list of 2, which has no [7]", ""),
        ("${inputs.name.first}", "inputs.name is text, which has no first", ""),
        ("${inputs.nothing.x}", "inputs.nothing is null, which has no x", ""),
        ("${inputs[*]}", "inputs is a mapping, which has no [*]", ""),
        ("${repair[*].fix.workspace}", "repair[*].fix has no 'workspace', it has nothing", ""),
    ],
)
def test_what_is_missing_is_named_with_what_is_there(value: str, message: str, hint: str) -> None:
    with pytest.raises(ReferenceMissing) as caught:
        resolve({"deep": [value]}, SCOPE)
    assert caught.value.message == f"{value} is missing: {message}"
    assert caught.value.hint.startswith(hint)
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


@pytest.mark.parametrize("text", ["${", "a ${inputs.depth", "${{x}}", "${a}${"])
def test_a_reference_that_does_not_end_is_refused(text: str) -> None:
    for look in (references, lambda value: resolve(value, SCOPE)):
        with pytest.raises(InvalidWorkflow):
            look(text)


def test_nesting_has_a_cap() -> None:
    value: Any = "x"
    for _ in range(2000):
        value = [value]
    for look in (references, lambda value: resolve(value, SCOPE)):
        with pytest.raises(InvalidWorkflow, match="nested deeper"):
            look(value)


def test_all_references_of_a_value_are_found_once() -> None:
    value: JSON = {"a": ["${x.output} ${x.output}", {"b": "${y.tests}"}], "c": "$${no}", "d": 1}
    assert references(value) == {parse("x.output"), parse("y.tests")}


def test_only_a_lone_reference_is_a_sole_one() -> None:
    assert sole_reference("${a.output}") == parse("a.output")
    assert [sole_reference(text) for text in ("", "a", " ${a}", "$${a}", "${a}${b}")] == [None] * 5


def test_the_longest_known_id_wins() -> None:
    assert split_task(parse("repair.b1.fix.output.x"), {"repair", "repair.b1.fix"}) == (
        "repair.b1.fix",
        ("output", "x"),
    )
    assert split_task(parse("repair[*].fix.output"), {"repair"}) == ("repair", ("*", "fix", "output"))
    assert split_task(parse("other.output"), {"repair"}) is None


@given(st.text(alphabet="${}a.[*]0 \\") | st.text())
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert resolve(escape(text), MappingScope({})) == text
    assert references(escape(text)) == frozenset()


@given(st.text(alphabet="${}ab.[*]01"))
def test_any_text_resolves_or_says_why_not(text: str) -> None:
    said = ""
    try:
        resolve(text, MappingScope({"a": {"b": [1, {"a": "x"}]}}))
    except InvalidWorkflow as error:
        said = error.message
    assert said or "${" not in text or "$${" in text or references(text)
