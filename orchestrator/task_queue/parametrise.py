"""From an intent to a concrete action."""

from __future__ import annotations

from schemas.attempts import Action
from schemas.errors import InvalidInput
from schemas.events.task import TaskReady
from schemas.ids import token

_NEED_WORKSPACE = {"AnalyzeCode", "WriteCode", "RunTests", "ReviewCode"}


def action_for(ready: TaskReady) -> Action:
    """The tool call that an intent becomes: the entry point of the skill, with the task's inputs as parameters.

    Raises:
        InvalidInput: the intent cannot be carried out with what it was given; the message says what is missing.
    """
    token(ready.skill, "skill")
    if ready.intent in _NEED_WORKSPACE and ready.workspace is None:
        raise InvalidInput(
            f"task {ready.task!r} intends {ready.intent} but has no workspace",
            hint="give the task a workspace, for instance ${inputs.workspace}",
        )
    return Action(tool=ready.skill, parameters=ready.inputs)
