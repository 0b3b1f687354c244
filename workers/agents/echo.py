"""The smallest agent: gives back what it was given. For first steps, and for measuring everything around it."""

from __future__ import annotations

import time
from typing import Any

from schemas.errors import Permanent
from workers.agents.base import Agent
from workers.context import Context


class Echo(Agent):
    """Returns its inputs. ``sleep_s`` makes it take its time, ``fail`` makes it fail."""

    skills = ("echo",)

    def run(self, context: Context) -> dict[str, Any]:
        until = time.monotonic() + float(context.inputs.get("sleep_s", 0))
        while (left := until - time.monotonic()) > 0:
            context.check()
            time.sleep(min(left, 0.05))
        if reason := context.inputs.get("fail"):
            raise Permanent(str(reason))
        return context.inputs
