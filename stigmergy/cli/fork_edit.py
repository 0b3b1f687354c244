"""``stig fork --edit``: what an event decided or reported, as YAML in the user's editor."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.core.references import parse, spell, split_task
from orchestrator.recalling import recorded
from schemas.errors import InvalidInput, InvalidWorkflow, ToolMissing
from schemas.events.registry import explain
from schemas.forks import ForkChange
from schemas.plan import Plan

if TYPE_CHECKING:
    from orchestrator.core.forking import Recording
    from orchestrator.core.mission import Mission
    from stigmergy.cli import recordings

Edited = tuple[int, tuple[ForkChange, ...], Plan | None]


def edited(origin: recordings.Recording, at: int) -> Edited:
    """Let the user edit the event; returns the event to fork from, the changes, and the plan if that was edited.

    Raises:
        InvalidInput: the event decides nothing that can be changed, or nothing was changed, or it is no YAML.
        ToolMissing: there is no editor.
    """
    event = origin.events[at - 1]
    found = recorded(origin.tenant, origin.mission, origin.events, at)
    title = f"event {at} of mission {origin.mission}: {event.type}"
    if event.type == "mission.planned":
        plan = found.now.plan.model_dump(mode="json", exclude_defaults=True)
        return at, (), _plan(_asked(f"{title}\nthe plan", plan))
    if event.type == "mission.submitted":
        inputs = _asked(f"{title}\nthe inputs of the mission", found.now.inputs)
        return max(at, found.planned), (ForkChange(path="inputs", value=inputs),), None
    if event.type == "mission.extended":
        group = str(event.data_as_dict()["group"])
        path = _path_of_items(found.now, group)
        items = _asked(f"{title}\nthe items of the group {group}", list(found.now.groups[group].items))
        return at, (ForkChange(path=path, value=items),), None
    task = event.subject or ""
    if task not in found.now.tasks:
        raise InvalidInput(
            f"event {at}, {event.type}, decides nothing that can be edited",
            hint="choose an event about a task, or mission.submitted, mission.planned or mission.extended",
        )
    output = _asked(f"{title}\nthe output of the task {task}", _output(found, task))
    return at, (ForkChange(path=f"task.{task}.output", value=output),), None


def _output(found: Recording, task: str) -> dict[str, Any]:
    for mission in (found.then, found.now):
        finished = mission.tasks[task].finished if task in mission.tasks else None
        if finished is not None:
            return finished.output
    return {}


def _path_of_items(mission: Mission, group: str) -> str:
    """What to change so that a group unfolds over other items: the value that its list is a reference to."""
    said = mission.groups[group].spec.items
    try:
        path = parse(said.removeprefix("${").removesuffix("}"))
    except InvalidWorkflow:
        path = parse("nothing")
    if path.head == "inputs":
        return spell(path.steps)
    found = split_task(path, mission.tasks)
    if found is None or found[1][:1] != ("output",):
        raise InvalidInput(
            f"the items of {group!r} come from {said}, which cannot be set", hint="edit what they are made of"
        )
    return f"task.{spell(path.steps)}"


def _plan(value: Any) -> Plan:
    try:
        return Plan.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(f"that is no plan: {explain(error)}", hint="docs/workflows.md has the fields") from error


def _asked(title: str, value: Any) -> Any:
    """The value after the user has edited it. Raises as :func:`edited`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump(value, text)
    heading = "".join(
        f"# {line}\n" for line in (*title.splitlines(), "save and leave to fork; leave it as it is to stop")
    )
    handle, name = tempfile.mkstemp(prefix="stig-fork-", suffix=".yaml")
    path = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(heading + text.getvalue())
    _open_editor(path)
    try:
        new = yaml.load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        said = str(error).replace("\n", " ")
        raise InvalidInput(f"that is no YAML: {said}", hint=f"what you wrote is kept in {path}") from error
    path.unlink()
    if new == value:
        raise InvalidInput("nothing was changed in the editor", hint="a fork without a change: leave --edit out")
    return new


def _open_editor(path: Path) -> None:
    said = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(said), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise ToolMissing(f"the editor {said!r} cannot be started: {error}", hint="set EDITOR") from error
    if done.returncode:
        raise InvalidInput(f"the editor ended with {done.returncode}; nothing was begun", hint="set EDITOR to another")
