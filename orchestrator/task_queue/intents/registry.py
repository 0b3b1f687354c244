"""All intents there are, and the way from a task to its action."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from pydantic import ValidationError

from orchestrator.task_queue import intents as package
from orchestrator.task_queue.intents.intent import Intent, Known
from schemas.attempts import Action
from schemas.errors import InvalidInput
from schemas.events.registry import explain
from schemas.events.task import TaskReady
from schemas.ids import token

GROUP = "stigmergy.intents"
SYNONYMS = {"AnalyzeCode": "FindFlaws"}
"""Two names for one thing: plans of earlier releases say the second."""


@cache
def registered() -> Mapping[str, Intent]:
    """The intents by name: one in each file beside this one, and those that installed packages bring along.

    Raises:
        InvalidInput: an entry point is no intent, or two packages mean different things by one name.
    """
    found: dict[str, Intent] = {}
    for module in pkgutil.iter_modules(package.__path__):
        made = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "INTENT", None)
        if isinstance(made, Intent):
            found[made.name] = made
    for entry in entry_points(group=GROUP):
        made = entry.load()
        if not isinstance(made, Intent):
            raise InvalidInput(f"the entry point {entry.name} of {GROUP} is no Intent", hint=f"look at {entry.value}")
        if made.name in found:
            raise InvalidInput(f"two packages register the intent {made.name!r}", hint=f"rename that of {entry.value}")
        found[made.name] = made
    for name, other in SYNONYMS.items():
        found.setdefault(other, found[name])
    return found


def action_for(ready: TaskReady, known: Known) -> Action:
    """The tool call that an intent becomes.

    Raises:
        InvalidInput: the intent cannot be carried out with what it was given; the message says what is missing.
    """
    token(ready.skill, "skill")
    intent = registered().get(ready.intent)
    if intent is not None and intent.workspace and ready.workspace is None:
        raise InvalidInput(
            f"task {ready.task!r} intends {ready.intent} but has no workspace",
            hint="give the task a workspace, for instance ${inputs.workspace}",
        )
    if intent is None or intent.skill != ready.skill:
        return Action(tool=ready.skill, parameters=ready.inputs, expected_s=known.expected_s)
    parameters = {**intent.fill(ready, known), **ready.inputs}
    try:
        intent.parameters.model_validate(parameters)
    except ValidationError as error:
        raise InvalidInput(
            f"task {ready.task!r} intends {ready.intent}, but its inputs do not fit the tool: {explain(error)}",
            hint=f"it takes {', '.join(intent.parameters.model_fields)}",
        ) from error
    return Action(
        tool=ready.skill, parameters=parameters, expected_s=known.expected_s, resources=dict(intent.resources)
    )
