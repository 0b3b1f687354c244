"""Agents that hand their task on and ask one another, each at a gate that the test opens: a file that appears."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from schemas.errors import PeerTrouble
from stigmergy import Agent, Asked, Context, answers


def wait_at(context: Context | Asked, gate: str | None) -> None:
    while gate and not Path(gate).exists():
        context.check()
        time.sleep(0.02)


def begin(asked: Asked) -> None:
    """Tell the test that it has begun, if it wants to know, and wait at its gate."""
    if begun := asked.question.get("begun"):
        Path(begun, asked.topic).touch()
    wait_at(asked, asked.question.get("gate"))


class Giver(Agent):
    """Writes ``file`` and hands on to ``to``; told that it came back, it ends the task itself."""

    skills = ("give",)

    def run(self, context: Context) -> dict[str, Any]:
        context.act("at the gate of the giver")
        wait_at(context, context.inputs.get("giver_gate"))
        file = context.workspace / str(context.inputs.get("file", "half.txt"))
        if context.handed is not None and not context.inputs.get("stubborn"):
            told = [violation.message for violation in context.feedback]
            return {"by": "giver", "told": told, "returned": context.handed.returned, "file": file.read_text()}
        file.write_text("the first half\n", encoding="utf-8")
        context.scratchpad["tried"] = "everything"
        return context.hand_off(context.inputs["to"], why="I can do no more", notes={"left": ["the second half"]})


class Taker(Agent):
    """Goes on where the giver stopped."""

    skills = ("take",)

    def run(self, context: Context) -> dict[str, Any]:
        context.act("at the gate of the taker")
        wait_at(context, context.inputs.get("taker_gate"))
        assert context.handed is not None
        file = context.workspace / "half.txt"
        found = file.read_text(encoding="utf-8")
        file.write_text(found + "the second half\n", encoding="utf-8")
        return {
            "by": "taker",
            "found": found,
            "from": context.handed.skill,
            "attempt": context.handed.attempt,
            "why": context.handed.why,
            "notes": context.handed.notes,
            "tried": context.scratchpad.get("tried"),
            "turns": [turn.skill for turn in context.handed.turns],
        }


class Ping(Agent):
    """Hands everything to the other side."""

    skills = ("ping",)

    def run(self, context: Context) -> dict[str, Any]:
        return context.hand_off("pong", why="not mine")


class Pong(Agent):
    """Hands everything back."""

    skills = ("pong",)

    def run(self, context: Context) -> dict[str, Any]:
        return context.hand_off("ping", why="not mine either")


class Asker(Agent):
    """Asks about ``topic``, and says what came of it."""

    skills = ("ask",)

    def run(self, context: Context) -> dict[str, Any]:
        context.act("asks")
        question, within_s = context.inputs.get("question", {}), float(context.inputs.get("within_s", 20))
        topic, begun = context.inputs["topic"], time.monotonic()
        try:
            said = context.ask_peer(topic, question, timeout_s=within_s, agent=context.inputs.get("agent", ""))
            return {"said": said if context.inputs.get("all", True) else len(str(said))}
        except PeerTrouble as error:
            took_s = time.monotonic() - begun
            return {"error": error.code, "message": error.message, "took_s": took_s}


class East(Agent):
    """Answers, one at a time."""

    skills = ("east",)
    answers_at_once = 1

    def run(self, context: Context) -> dict[str, Any]:
        return {}

    @answers("east")
    def east(self, asked: Asked) -> dict[str, Any]:
        """Whatever the question wants."""
        question = asked.question
        begin(asked)
        if question.get("raises"):
            raise KeyError("nothing like it")
        if on := question.get("ask_on"):
            return {"east": asked.ask_peer(on, {**question, "ask_on": "", "back": True}, timeout_s=60)}
        return {"east": asked.tenant, "by": asked.agent, "text": "x" * int(question.get("size", 1))}


class West(Agent):
    """Answers, and asks in the east before it does."""

    skills = ("west",)
    answers_at_once = 1

    def run(self, context: Context) -> dict[str, Any]:
        return {}

    @answers("west")
    def west(self, asked: Asked) -> dict[str, Any]:
        """What the east says."""
        begin(asked)
        return {"west": asked.ask_peer("east", {"back": True}, timeout_s=60)}
