"""Agents of the tests of votes: each does what the inputs say of its task's number."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from stigmergy import Agent, Context


class Elector(Agent):
    """Votes as ``votes`` says of its number; ``die`` kills its process, ``sleep`` takes a minute."""

    skills = ("elect",)

    def run(self, context: Context) -> dict[str, Any]:
        said = context.inputs["votes"][int(context.order.task.rpartition(".")[2]) - 1]
        if said == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if said == "sleep":
            for _ in range(1200):
                context.check()
                time.sleep(0.05)
        return {"choice": said, "reason": f"I am {context.order.task}"}


class Maker(Agent):
    """Makes what ``does`` says of its number: an output, after ``sleep_s``, and files."""

    skills = ("make",)

    def run(self, context: Context) -> dict[str, Any]:
        number = context.order.task.rpartition(".")[2]
        does = context.inputs["does"][int(number) - 1 if number.isdigit() else 0]
        until = time.monotonic() + does.get("sleep_s", 0)
        while time.monotonic() < until:
            context.check()
            time.sleep(0.05)
        for name, text in does.get("files", {}).items():
            (context.workspace / name).write_text(text, encoding="utf-8")
        return dict(does.get("output", {}))


class Oracle(Agent):
    """Votes in a ballot while it works at something else."""

    skills = ("ponder",)

    def run(self, context: Context) -> dict[str, Any]:
        context.vote(context.inputs["ballot"], context.inputs["choice"], reason="it came to me")
        return {}
