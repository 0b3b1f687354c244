"""From what a task wants to what is to be done: an intent, in the light of the situation, becomes an action.

One file an intent. Users add theirs by the entry point group ``stigmergy.intents``: a name and an :class:`Intent`.
What a task intends in words that nobody has registered is left to its skill, with the task's inputs as they are.
"""

from orchestrator.task_queue.intents.intent import Intent, Known
from orchestrator.task_queue.intents.registry import action_for, registered

__all__ = ["Intent", "Known", "action_for", "registered"]
