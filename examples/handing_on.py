"""Two agents that work together: one asks the other for an opinion, and then hands its task on.

``stig workers start --concurrency 2 --import examples/handing_on.py``, for they only ask agents of *other* workers;
then ``stig run examples/handing_on.yaml``, and ``stig explain last write`` tells how it went.
"""

from itertools import pairwise
from typing import Any

from stigmergy import Agent, Asked, Context, answers


class Drafter(Agent):
    """Writes a draft, asks what is wrong with it, and hands it to whoever polishes."""

    skills = ("draft",)

    def run(self, context: Context) -> dict[str, Any]:
        draft = f"{context.inputs['about']} is is important.\n"
        (context.workspace / "text.md").write_text(draft, encoding="utf-8")
        opinion = context.ask_peer("opinion", {"text": draft}, timeout_s=20)
        return context.hand_off("polish", why="the draft is done", notes=opinion)


class Polisher(Agent):
    """Mends drafts, and says of others' what is wrong with them."""

    skills = ("polish",)

    def run(self, context: Context) -> dict[str, Any]:
        file, text = context.workspace / "text.md", ""
        if context.handed is not None:  # who had it before, why it is here, and what it noted
            context.act(f"took over from {context.handed.skill}: {context.handed.why}")
            text = file.read_text(encoding="utf-8")
            for word in context.handed.notes["doubled"]:
                text = text.replace(f"{word} {word}", word)
        file.write_text(text, encoding="utf-8")
        return {"text": text}

    @answers("opinion")
    def opinion(self, asked: Asked) -> dict[str, Any]:
        """Which words are doubled in ``text``."""
        words = asked.question["text"].split()
        return {"doubled": [one for one, next_ in pairwise(words) if one == next_]}
