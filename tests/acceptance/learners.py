"""Agents that learn, that are out of date, and that are good or cheap: for tests of who gets an attempt."""

from __future__ import annotations

from typing import Any

from schemas.errors import InvalidInput, Retryable
from stigmergy import Agent, Context


class Pupil(Agent):
    """Learns the skill that it is told, and does everything it has learned."""

    skills = ("study",)

    def run(self, context: Context) -> dict[str, Any]:
        if context.order.skill != "study":
            return {"done": context.order.skill, "by": self.name}
        try:
            new = context.learned(context.inputs["subject"], description="learned here", keep=context.inputs["keep"])
        except InvalidInput as error:
            return {"refused": error.message}
        return {"new": new}


class Veteran(Agent):
    """Still does what others should do by now."""

    skills = ("greet",)
    deprecated = {"greet": "use echo"}  # noqa: RUF012

    def run(self, context: Context) -> dict[str, Any]:
        return {"by": self.name}


class Priced(Agent):
    """Says what it costs; a cheap one fails every other time."""

    skills = ("quote",)

    def run(self, context: Context) -> dict[str, Any]:
        cheap = context.bench.state_dir.name == "cheap"
        context.llm_completed("made-up", tokens_in=10 if cheap else 1000, cost_usd=0.001 if cheap else 0.1)
        if cheap and context.order.task.endswith(("1", "3", "5", "7", "9")):
            raise Retryable("cheap and bad")
        return {"cheap": cheap}
