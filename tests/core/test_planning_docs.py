"""Every example of docs/workflows.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.planning import load_template
from orchestrator.planning.fields import NAME_CAP
from orchestrator.planning.names import TASKS_CAP
from schemas.errors import InvalidWorkflow

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml"]
PYTHON = [text for language, text in BLOCKS if language == "python"]
REFUSED, *ACCEPTED = YAML


def test_the_page_has_examples_of_every_kind() -> None:
    assert {language for language, _ in BLOCKS} == {"yaml", "text", "python", "sh"}
    assert len(ACCEPTED) >= 6
    assert len(PYTHON) >= 2


@pytest.mark.parametrize("text", ACCEPTED, ids=lambda text: text.split("\n")[0])
def test_its_workflows_load(text: str) -> None:
    template = load_template(text, "example.yaml")
    assert template.plan({name: {"object": {}, "array": []}.get(spec.type) for name, spec in template.inputs.items()})


def test_its_broken_workflow_is_refused_in_these_words_and_accepted_when_mended() -> None:
    (words,) = [text for language, text in BLOCKS if language == "text"]
    with pytest.raises(InvalidWorkflow) as caught:
        load_template(REFUSED, "example.yaml")
    assert f"{caught.value.message}\n{caught.value.hint}\n" == words
    mended = load_template(REFUSED.replace("inputs:\n", "inputs:\n  style: string\n", 1), "example.yaml")
    needs = {task.id: set(task.needs) for task in mended.plan({"workspace": {}, "style": "x"}).tasks}
    assert needs == {"baseline": set(), "tidy": set(), "verify": {"baseline", "tidy"}}


@pytest.mark.parametrize("text", PYTHON, ids=["references", "barriers", "otherway", "templates"])
def test_its_python_runs(text: str) -> None:
    names: dict[str, object] = {}
    exec(compile(text, "workflows.md", "exec"), names)
    assert len(names) > 2


def test_its_limits_are_the_real_ones() -> None:
    assert f"at most {NAME_CAP} characters" in PAGE
    assert f"at most {TASKS_CAP:_}".replace("_", " ") in PAGE


COORDINATION = (Path(__file__).parents[2] / "docs" / "coordination.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", COORDINATION, re.MULTILINE | re.DOTALL))
def test_the_workflows_about_coordination_load(text: str) -> None:
    template = load_template(text, "example.yaml")
    assert template.plan({name: {} for name in template.inputs})
