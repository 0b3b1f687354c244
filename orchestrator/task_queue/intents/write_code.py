"""Change the files of a workspace."""

from orchestrator.task_queue.intents.intent import Intent
from schemas.parameters import CodeParameters

INTENT = Intent("WriteCode", "code", CodeParameters)
