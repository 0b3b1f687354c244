"""Saying what came of a run: how to run it again, what went wrong, the last events of the mission at fault."""

from __future__ import annotations

import os
import sys

from tests.simulation.play import Outcome

_SHOWN = 40


def again(seed: int) -> str:
    """How to run a seed again."""
    return f"{os.path.basename(sys.executable)} -m tests.simulation seed {seed} --shrink"


def report(outcome: Outcome, *, everything: bool = False) -> str:
    """What went wrong in a run, and the last events of the mission at fault."""
    lines = [line for mission, line in outcome.lines if everything or mission in (outcome.mission, "")]
    lines = lines or [line for _, line in outcome.lines]
    shown = lines if everything else lines[-_SHOWN:]
    struck = [f"{each.at - 1000.0:9.3f} s  {each.fate[0]} {each.fate[1]}" for each in outcome.struck]
    struck = struck if everything or len(struck) <= _SHOWN else [*struck[:_SHOWN], f"and {len(struck) - _SHOWN} more"]
    return "\n".join(
        [
            f"seed {outcome.seed}: {outcome.detail or 'every law holds'}",
            f"log {outcome.digest[:16]}, {outcome.events} events, {outcome.virtual_s:.1f} virtual seconds",
            "misfortunes:" if struck else "no misfortune",
            *(f"  {each}" for each in struck),
            "events:" if everything else f"last events of {outcome.mission or 'the run'}:",
            *(f"  {line}" for line in shown),
        ]
    )
