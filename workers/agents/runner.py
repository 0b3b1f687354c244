"""The runner: a program, in a sandbox, on the workspace."""

from __future__ import annotations

import shutil
from typing import Any

from pydantic import ValidationError

from schemas.errors import Permanent
from schemas.events.registry import explain
from schemas.parameters import CommandParameters
from workers.agents.base import Agent
from workers.context import Context
from workers.sandboxes import Limits

_TAIL = 4000


class Runner(Agent):
    """Input: a :class:`~schemas.parameters.CommandParameters`. The exit code is observed, not believed.

    An exit code other than 0 is no failure of the attempt: whether it may be is for the task's expectations to say.
    Output: ``exit_code``, ``ended_by`` (exit, timeout, memory …), the last 4000 characters of ``stdout``, ``stderr``.
    """

    skills = ("command",)

    def run(self, context: Context) -> dict[str, Any]:
        try:
            wanted = CommandParameters.model_validate(context.inputs)
        except ValidationError as error:
            raise Permanent(f"this is no command: {explain(error)}") from error
        folder = context.workspace
        if not wanted.keep_changes:
            folder = context.scratch("run")
            shutil.copytree(context.workspace, folder, symlinks=True)
        sandbox = context.sandbox
        limits = Limits(wall_s=max(1.0, context.order.timeout_s - 5))
        with context.tool("command", argv=list(wanted.argv), sandbox=sandbox.name) as call:
            done = sandbox.run(
                list(wanted.argv), folder=folder, env=wanted.env, limits=limits, cancelled=context.cancelled
            )
            call.result = {"exit_code": done.exit_code, "ended_by": done.ended_by}
        context.check()
        context.exit_code = done.exit_code
        context.act(f"{wanted.argv[0]} ended with {done.exit_code}", ended_by=done.ended_by)
        return {
            "exit_code": done.exit_code,
            "ended_by": done.ended_by,
            "duration_s": round(done.duration_s, 3),
            "stdout": done.stdout[-_TAIL:],
            "stderr": done.stderr[-_TAIL:],
        }
