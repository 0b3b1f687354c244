"""Put together what several tasks made."""

from orchestrator.task_queue.intents.intent import Intent
from schemas.parameters import MergeParameters

INTENT = Intent("MergeChanges", "integrate", MergeParameters)
