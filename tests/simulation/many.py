"""Many seeds on all cores, and what came of them together.

A module of its own: a new process imports what it is to run by name, and has no other ``__main__`` than its own.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.drawing import make_scenario
from tests.simulation.play import Outcome, play

_PART = 10


class Summary:
    """Sums over many runs."""

    def __init__(self) -> None:
        self.seeds, self.events, self.virtual_s = 0, 0, 0.0
        self.ends: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self.features: Counter[str] = Counter()
        self.failed: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.seeds += 1
        self.events += outcome.events
        self.virtual_s += outcome.virtual_s
        self.ends.update(outcome.ends)
        self.features.update(outcome.features)
        self.struck.update(each.fate[0] for each in outcome.struck)
        if outcome.law:
            self.failed.append(outcome)

    def text(self, took_s: float) -> str:
        """For people."""
        ends = ", ".join(f"{count:,} {how or 'open'}" for how, count in sorted(self.ends.items()))
        features = ", ".join(f"{count:,} {name}" for name, count in sorted(self.features.items()))
        kinds = "\n".join(f"  {kind:<24}{count:>9,}" for kind, count in sorted(self.struck.items()))
        return (
            f"{self.seeds:,} seeds in {took_s:.0f} s: {self.events:,} events, "
            f"{self.virtual_s / 3600:.1f} virtual hours, {len(self.failed)} failed\n"
            f"missions: {ends}\nfeatures: {features or 'none'}\n"
            f"misfortunes: {sum(self.struck.values()):,}\n{kinds}"
        )


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """Play seeds in so many processes. Raises ``BrokenProcessPool`` where they cannot even begin."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=hush) as pool:
        yield from pool.map(_play, seeds, chunksize=_PART)


def hush() -> None:
    """Deciders warn of every misfortune."""
    logging.disable(logging.CRITICAL)


def _play(seed: int) -> Outcome:
    outcome = play(make_scenario(seed))
    if not outcome.law:
        outcome.lines = []  # not worth the way between processes
    return outcome
