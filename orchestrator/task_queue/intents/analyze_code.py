"""Find out what is wrong in a repository."""

from orchestrator.task_queue.intents.intent import Intent
from schemas.parameters import AnalyzeParameters

INTENT = Intent("AnalyzeCode", "analyze", AnalyzeParameters)
