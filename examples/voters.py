"""Agents that decide together; ``decide.yaml`` lets them. ``stig workers start --import examples/voters.py``."""

from typing import Any

from stigmergy import Agent, Context


class Drafter(Agent):
    """Writes a slogan; of several side by side each writes another one."""

    skills = ("sketch",)

    def run(self, context: Context) -> dict[str, Any]:
        number = int(context.order.task.rpartition(".")[2])
        slogan = " ".join(["Traces", "that", "last", "for", "good"][: number + 1])
        return {"slogan": slogan, "words": len(slogan.split())}


class Critic(Agent):
    """Votes for the shortest candidate, or for the longest, as its inputs say."""

    skills = ("criticise",)

    def run(self, context: Context) -> dict[str, Any]:
        best = min if context.inputs["likes"] == "short" else max
        taken = best(context.inputs["candidates"], key=lambda one: one["output"]["words"])
        return {"choice": taken["task"], "reason": f"it has {taken['output']['words']} words"}
