"""The simulation from the command line: many seeds, one seed in full, or the planted bugs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.drawing import make_scenario
from tests.simulation.kept import HISTORIES, keep
from tests.simulation.many import Summary, hush, outcomes
from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.play import play
from tests.simulation.shrink import Shrinking
from tests.simulation.telling import again, report

_EXAMPLES = """examples:
  python -m tests.simulation run --seeds 1000            the first thousand, on all cores
  python -m tests.simulation run --seeds 100000 --from 5000
  python -m tests.simulation seed 4711 --shrink          one seed; if it fails, its smallest history
  python -m tests.simulation seed 4711 --keep two-ends   the same, kept as a test
  python -m tests.simulation seed 4711 --all             every event and misfortune of it
  python -m tests.simulation mutants                     is every planted bug found?
"""


def _run(seeds: int, first: int, jobs: int) -> int:
    begin, summary, told = time.monotonic(), Summary(), time.monotonic()
    for outcome in outcomes(range(first, first + seeds), jobs):
        summary.add(outcome)
        if outcome.law:
            print(f"seed {outcome.seed} failed: {outcome.detail}\n  again: {again(outcome.seed)}", flush=True)
        if time.monotonic() - told > 5.0:
            told = time.monotonic()
            print(f"{summary.seeds:,} of {seeds:,} seeds, {len(summary.failed)} failed", file=sys.stderr, flush=True)
    print(summary.text(time.monotonic() - begin))
    if summary.failed:
        first_failed = min(summary.failed, key=lambda outcome: outcome.seed)
        print(f"\nthe first that failed, made small ({again(first_failed.seed)}):")
        _seed(first_failed.seed, shrink=True, everything=False)
    return 1 if summary.failed else 0


def _seed(seed: int, *, shrink: bool, everything: bool, name: str | None = None) -> int:
    scenario = make_scenario(seed)
    outcome = play(scenario)
    if outcome.law and shrink:
        before = (len(outcome.struck), outcome.events)
        scenario, outcome = Shrinking(scenario, outcome, tell=lambda line: print(f"  {line}", file=sys.stderr)).run()
        print(f"made small: {before[0]} misfortunes and {before[1]} events before")
        print(f"{scenario.orchestrators} orchestrators, {scenario.managers} managers, {scenario.workers} workers")
        for script in scenario.scripts:
            plan = script.plan.model_dump_json(exclude_defaults=True)
            wishes = ", ".join(f"{wish.verb} after {wish.at:.3f} s" for wish in script.wishes) or "nothing"
            print(f"mission {script.mission} at {script.submit_at:.3f} s, wished: {wishes}\n  {plan}")
    print(report(outcome, everything=everything))
    if outcome.law and name:
        keep(scenario, HISTORIES / f"{name}.json")
        print(f"kept as tests/simulation/histories/{name}.json: mend it, and the test that plays it passes")
    return 1 if outcome.law else 0


def _mutants(seeds: int) -> int:
    missed = 0
    for name in MUTANTS:
        found = hunt(name, seeds)
        missed += found is None
        print(f"{name:<42} {'NOT FOUND' if found is None else f'seed {found.seed:>4}: {found.law}'}", flush=True)
    return 1 if missed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if something was found, 2 for bad input."""
    parser = argparse.ArgumentParser(
        "python -m tests.simulation",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(dest="what", required=True)
    run = parts.add_parser("run", help="many seeds")
    run.add_argument("--seeds", type=int, default=1000)
    run.add_argument("--from", dest="first", type=int, default=0)
    run.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    seed = parts.add_parser("seed", help="one seed in full")
    seed.add_argument("seed", type=int)
    seed.add_argument("--shrink", action="store_true", help="make a failing run small")
    seed.add_argument("--keep", metavar="NAME", help="with --shrink: keep the small run as a test, under this name")
    seed.add_argument("--all", action="store_true", help="every event, not only the last of the mission at fault")
    mutants = parts.add_parser("mutants", help="plant known bugs")
    mutants.add_argument("--seeds", type=int, default=200)
    chosen = parser.parse_args(arguments)
    hush()
    try:
        if chosen.what == "run":
            return _run(chosen.seeds, chosen.first, chosen.jobs)
        if chosen.what == "seed":
            return _seed(
                chosen.seed, shrink=chosen.shrink or bool(chosen.keep), everything=chosen.all, name=chosen.keep
            )
        return _mutants(chosen.seeds)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
