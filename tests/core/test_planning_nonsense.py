"""Templates in which nothing can be trusted: floods, bombs and spoilt ones load or are refused, and quickly."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning import load_template
from schemas.errors import InvalidWorkflow

NEEDY = "".join(f'  t{n}: {{skill: s, needs: [u{n}], inputs: {{x: "${{v{n}.output}}"}}}}\n' for n in range(600))
ONE_FIELD = "  a: {skill: s, inputs: {x: '" + " ".join(f"${{v{n}.output}}" for n in range(5000)) + "'}}\n"
MISSPELT = "".join(f"  t{n}: {{skil: s}}\n" for n in range(600))


@pytest.mark.parametrize("tasks", [NEEDY, ONE_FIELD, MISSPELT], ids=["needs", "one field", "keys"])
def test_a_flood_of_problems_is_cut_short_and_quick(tasks: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(f"workflow: w\ntasks:\n{tasks}", "w.yaml")
    assert time.perf_counter() - began < 10
    assert len(caught.value.message.splitlines()) == 21
    assert caught.value.message.splitlines()[-1].startswith("and ")


def test_bombs_go_off_in_vain() -> None:
    aliases = "a0: &a0 [1, 2]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    deep = "a0: &a0 " + "[" * 20 + "]" * 20 + "\na1: " + "[" * 20 + "*a0" + "]" * 20
    for text, said in (
        (aliases, "more than 500000 values"),
        (deep, "nested deeper than 32 levels"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        ("{a: " * 100_000, "nested deeper than 32 levels"),
        ("x" * (1024 * 1024 + 1), "larger than 1024 KiB"),
        ("é" * (600 * 1024), "larger than 1024 KiB"),
    ):
        began = time.perf_counter()
        with pytest.raises(InvalidWorkflow, match=said):
            load_template(text, "w.yaml")
        assert time.perf_counter() - began < 5


REPAIR = (resources.files("orchestrator.planning") / "workflows" / "repair.yaml").read_text(encoding="utf-8")


@settings(max_examples=60)
@given(st.integers(0, len(REPAIR)), st.integers(0, 40), st.text(alphabet="${}[]:,-*&! \n\t'\"ab.0", max_size=6))
def test_a_spoilt_template_loads_or_is_refused(at: int, cut: int, put: str) -> None:
    try:
        loaded = load_template(REPAIR[:at] + put + REPAIR[at + cut :], "w.yaml").name
    except InvalidWorkflow as error:
        loaded = error.message
    assert loaded


WHOLE: dict[str, Any] = {
    "workflow": "w",
    "title": "t",
    "inputs": {"x": {"type": "array", "description": "d", "required": False, "default": []}},
    "deadline": "1m",
    "goals": {"o": {"title": "t", "parent": "mission", "optional": True, "error_threshold": 1, "deadline": 5}},
    "tasks": {
        "a": {
            "skill": "s",
            "intent": "I",
            "inputs": {"k": "${inputs.x}"},
            "workspace": "${inputs.x}",
            "needs": [],
            "expects": [{"files_changed_within": "${inputs.x}", "at_least": 1}],
            "goal": "o",
            "priority": 1,
            "timeout": "1m",
            "retry": {"max_attempts": 1, "delay": 1, "factor": 1, "max_delay": 1, "on_violation": False},
        }
    },
    "groups": {
        "g": {"for_each": "${a.output}", "as": "v", "key": "id", "needs": ["a"], "tasks": {"f": {"skill": "s"}}},
    },
    "result": {"r": "${g[*].item}"},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@pytest.mark.parametrize("odd", [None, True, -1.5, "${", "${a.b}", [[None]], {}, {"a": {"": 1}}])
def test_any_value_anywhere_loads_or_is_refused(odd: Any) -> None:
    loaded = load_template(json.dumps(WHOLE), "w.yaml")
    assert loaded.name == "w"
    refused = 0
    for place in places(WHOLE):
        spoilt: Any = {"top": copy.deepcopy(WHOLE)}
        *above, last = ("top", *place)
        inside = spoilt
        for step in above:
            inside = inside[step]
        inside[last] = odd
        refused += 1
        with contextlib.suppress(InvalidWorkflow):
            load_template(json.dumps(spoilt["top"]), "w.yaml")
            refused -= 1
    assert refused > 3
