"""The coder: applies one group of safe fixes to its workspace."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from schemas.errors import Permanent
from schemas.events.registry import explain
from schemas.findings import FixGroup
from workers.agents.base import Agent
from workers.context import Context
from workers.tools.python_code import apply_group


class Coder(Agent):
    """Input: ``group``, a :class:`~schemas.findings.FixGroup`. The product is the mended tree.

    Output: ``group``, ``files`` changed, ``fixes`` for each rule, ``notes`` on what was left and why.
    """

    skills = ("code",)

    def run(self, context: Context) -> dict[str, Any]:
        try:
            group = FixGroup.model_validate(context.inputs.get("group"))
        except ValidationError as error:
            raise Permanent(f"the input 'group' is no group of fixes: {explain(error)}") from error
        with context.tool("apply_group", group=group.id) as call:
            applied = apply_group(context.workspace, group)
            call.result = {"files": len(applied.files), "fixes": sum(applied.counts.values())}
        context.act(f"{group.title}: {sum(applied.counts.values())} fixes in {len(applied.files)} files")
        return {
            "group": group.id,
            "files": list(applied.files),
            "fixes": dict(applied.counts),
            "notes": list(applied.notes),
        }
