"""Agents that let nobody else have a turn. Loaded by the workers of the tests of heartbeats."""

from __future__ import annotations

import ctypes
import time
from typing import Any

from stigmergy import Agent, Context


class HoldsInterpreter(Agent):
    """Sleeps in C for ``seconds`` without letting go of the interpreter's lock, as a long regular expression would."""

    skills = ("hog",)

    def run(self, context: Context) -> dict[str, Any]:
        begun = time.monotonic()
        ctypes.PyDLL(None).usleep(int(float(context.inputs["seconds"]) * 1e6))  # PyDLL keeps the lock, CDLL lets it go
        return {"held_s": round(time.monotonic() - begun, 2)}
