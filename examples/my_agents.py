"""An agent of one's own. Start workers that have it: ``stig workers start --import examples/my_agents.py``."""

from stigmergy import Agent, Context


class Counter(Agent):
    """Counts the words of ``text``."""

    skills = ("count-words",)

    def run(self, context: Context) -> dict[str, int]:
        words = context.inputs["text"].split()
        context.act(f"counted {len(words)} words")
        return {"words": len(words), "different": len({word.lower() for word in words})}
