"""The agent that took over a skill from :class:`tests.acceptance.learners.Veteran`."""

from __future__ import annotations

from typing import Any

from stigmergy import Agent, Context


class Successor(Agent):
    """Greets as people do nowadays."""

    skills = ("greet",)

    def run(self, context: Context) -> dict[str, Any]:
        return {"by": self.name}
