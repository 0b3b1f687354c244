"""The agents of ``benchmarks.handing``: as little work as can be."""

from __future__ import annotations

import time
from typing import Any

from stigmergy import Agent, Asked, Context, answers


class BenchGiver(Agent):
    """Hands on at once."""

    skills = ("bench-give",)

    def run(self, context: Context) -> dict[str, Any]:
        return context.hand_off("bench-take", why="a measurement", notes={"n": 1})


class BenchTaker(Agent):
    """Ends at once, and answers at once."""

    skills = ("bench-take",)

    def run(self, context: Context) -> dict[str, Any]:
        return {}

    @answers("bench-echo")
    def echo(self, asked: Asked) -> dict[str, Any]:
        """What was asked."""
        return asked.question


class BenchAsker(Agent):
    """Asks again and again; returns how long each answer took, in seconds."""

    skills = ("bench-ask",)

    def run(self, context: Context) -> dict[str, Any]:
        took = []
        for number in range(int(context.inputs["times"])):
            begin = time.perf_counter()
            context.ask_peer("bench-echo", {"n": number})
            took.append(time.perf_counter() - begin)
        return {"took": took}
