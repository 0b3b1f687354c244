"""Which workflow is meant, with which inputs: what was said on the command line, checked before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from orchestrator.planning import InputSpec, Template, builtin_templates, load_template
from schemas.errors import InvalidInput
from schemas.plan import Plan, StrategyWish


@dataclass(frozen=True, slots=True)
class Choice:
    """What to submit. ``plan`` is None for a workflow that the orchestrator knows by its name."""

    workflow: str
    objective: str
    inputs: dict[str, Any]
    plan: Plan | None


def choose(name: str, said: Sequence[str], objective: str | None, strategy: StrategyWish | None = None) -> Choice:
    """The workflow ``name``, or the template in the file of that name.

    Raises:
        InvalidInput: an input is not of the form key=value, or the file cannot be read.
        InvalidWorkflow: the template is no task graph, the inputs do not fit, or it has no such strategy.
    """
    if is_file(name):
        template = template_in(name)
        inputs = template.complete(_inputs(said, template.inputs))
        return Choice(
            template.name,
            objective or template.title or template.name,
            inputs,
            template.plan(inputs, strategy=strategy),
        )
    known: Template | None = builtin_templates().get(name)
    if known is None:  # the orchestrators of this stack may know more workflows than this machine does
        return Choice(name, objective or name, _inputs(said, {}), None)
    return Choice(name, objective or known.title or name, known.complete(_inputs(said, known.inputs)), None)


def is_file(name: str) -> bool:
    """Whether a template of one's own is meant, not a workflow's name."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def template_in(path: str) -> Template:
    """The template in a file. Raises :class:`InvalidInput` or :class:`InvalidWorkflow`."""
    return load_template(_text(Path(path)), path)


def strategy_of(said: str | None) -> StrategyWish | None:
    """What was said as a strategy. Raises :class:`InvalidInput` for what is none."""
    for wish in get_args(StrategyWish):
        if said == wish:
            return cast("StrategyWish", wish)
    if said is not None:
        raise InvalidInput(f"{said!r} is no strategy", hint=f"there are: {', '.join(get_args(StrategyWish))}")
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {path}", hint="check the path of the workflow") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not a text in UTF-8: {error.reason}") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def _inputs(said: Sequence[str], declared: Mapping[str, InputSpec]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for one in said:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise InvalidInput(f"{one!r} is no input", hint="write --input KEY=VALUE")
        if key in inputs:
            raise InvalidInput(f"the input {key!r} was given twice", hint="leave one of them out")
        wanted = declared[key].type if key in declared else "any"
        inputs[key] = value if wanted == "string" else json_or_text(value)
    return inputs


def json_or_text(value: str) -> Any:
    """What is said on a command line: JSON if it is some, else text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
