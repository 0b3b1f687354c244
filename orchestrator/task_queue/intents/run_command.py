"""Run a program on a workspace, in a sandbox."""

from orchestrator.task_queue.intents.intent import Intent
from schemas.parameters import CommandParameters

INTENT = Intent(
    "RunCommand",
    "command",
    CommandParameters,
    workspace=False,
    resources={"memory_mb": 1024, "cpu_s": 600, "processes": 128},
)
