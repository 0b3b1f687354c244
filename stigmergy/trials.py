"""Trials: recorded missions run again in two strategies, and what came of it. What is known of one is on its missions.

A run has the labels ``trial`` (the name of the trial), ``trial.a`` and ``trial.b`` (its strategies), ``trial.side``,
``trial.of`` (the mission it repeats) and ``trial.round``: so a report can be made again at any time, and a query over
missions can choose them. Runs are fresh, never forks that take over what the recorded mission made: what is taken over
costs no time and cannot fail, and the strategies have different tasks, so it would favour the one that the mission was
recorded with (``docs/decisions/0036-strategies.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from events.port import Window
from orchestrator.coordination.paired import Comparison, Outcome, compare
from schemas.envelope import Event
from schemas.errors import InvalidInput, TimedOut
from schemas.events import parse
from schemas.events.mission import MissionSubmitted
from schemas.ids import uuid7
from schemas.plan import Plan, StrategyName
from schemas.subjects import type_filter
from stigmergy.client import Client
from stigmergy.trial_outcome import outcome_of

TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Origin:
    """A recorded mission, to be run again."""

    mission: str
    objective: str
    workflow: str
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is to be compared.

    Attributes:
        plan: makes the plan of a strategy, for templates that the orchestrators do not know; None for the others.
        timeout_s: a run that takes longer is cancelled, and has failed.
    """

    a: StrategyName
    b: StrategyName
    repeat: int = 1
    timeout_s: float = 600.0
    plan: Callable[[Origin, StrategyName], Plan] | None = None


class RunView(BaseModel):
    """One run of a trial."""

    model_config = ConfigDict(frozen=True)

    mission: str
    of: str
    round: int
    side: str
    outcome: Outcome


class TrialReport(BaseModel):
    """A trial with its runs, pair by pair. ``unpaired``: runs whose other side is missing; they do not count."""

    model_config = ConfigDict(frozen=True)

    trial: str
    a: str
    b: str
    pairs: tuple[tuple[RunView, RunView], ...]
    unpaired: tuple[RunView, ...] = ()
    comparison: Comparison


async def recorded(client: Client, workflow: str, *, last: int) -> list[Origin]:
    """The newest missions of a workflow that the log has, the newest first; runs of trials are left out."""
    found = [
        _origin(event, payload)
        for event, payload in await _submitted(client)
        if payload.workflow == workflow and TRIAL not in payload.labels
    ]
    return found[::-1][:last]


async def origin(client: Client, mission: str) -> Origin:
    """One recorded mission. Raises :class:`InvalidInput` if the log does not have it, or it had no workflow."""
    for event, payload in await _submitted(client):
        if event.mission == mission:
            if not payload.workflow:
                raise InvalidInput(f"mission {mission} had a plan made by hand", hint="a workflow has strategies")
            return _origin(event, payload)
    raise InvalidInput(f"the log has no mission {mission!r}", hint="`stig mission list` shows them")


async def run_trial(
    client: Client, trial: Trial, origins: Sequence[Origin], *, told: Callable[[str], None] = lambda _: None
) -> str:
    """Run every mission both ways, one run at a time, and return the trial's name for :func:`report`.

    The side that goes first changes from pair to pair, so that caches that get warm favour neither.

    Args:
        told: hears a line before each run.

    Raises:
        InvalidWorkflow: the workflow does not have one of the strategies, or the inputs no longer fit it.
    """
    name = uuid7()
    pairs = [(one, number) for number in range(trial.repeat) for one in origins]
    for count, (one, number) in enumerate(pairs):
        sides = (("a", trial.a), ("b", trial.b))
        for side, strategy in sides if count % 2 == 0 else sides[::-1]:
            told(f"{count + 1}/{len(pairs)}: {strategy} on {one.mission}")
            labels = {
                TRIAL: name, "trial.a": trial.a, "trial.b": trial.b, "trial.side": side, "trial.of": one.mission,
                "trial.round": str(number),
            }  # fmt: skip
            await _run(client, trial, one, strategy, labels)
    return name


async def report(client: Client, trial: str) -> TrialReport:
    """What came of a trial, from its missions on the log. Raises :class:`InvalidInput` if there are none."""
    runs: dict[tuple[str, int], dict[str, RunView]] = {}
    names = ("", "")
    for event, payload in await _submitted(client):
        labels = payload.labels
        if labels.get(TRIAL) != trial:
            continue
        names = labels["trial.a"], labels["trial.b"]
        history = [e async for e in client.mission(event.mission).events(follow=False)]
        run = RunView(
            mission=event.mission,
            of=labels["trial.of"],
            round=int(labels["trial.round"]),
            side=labels["trial.side"],
            outcome=outcome_of(history),
        )
        runs.setdefault((run.of, run.round), {})[run.side] = run
    if not runs:
        raise InvalidInput(f"the log has no trial {trial!r}", hint="stig ab WORKFLOW begins one, and says its name")
    pairs = tuple((both["a"], both["b"]) for both in runs.values() if len(both) == 2)
    return TrialReport(
        trial=trial,
        a=names[0],
        b=names[1],
        pairs=pairs,
        unpaired=tuple(run for both in runs.values() if len(both) < 2 for run in both.values()),
        comparison=compare(*names, [(one.outcome, other.outcome) for one, other in pairs]),
    )


async def _run(client: Client, trial: Trial, one: Origin, strategy: StrategyName, labels: dict[str, str]) -> None:
    plan = trial.plan(one, strategy) if trial.plan is not None else None
    mission = await client.submit(
        one.objective,
        workflow=one.workflow,
        plan=plan,
        strategy=None if plan is not None else strategy,
        inputs=one.inputs,
        labels=labels,
    )
    try:
        await mission.outcome(timeout_s=trial.timeout_s)
    except TimedOut:
        await mission.cancel(f"the trial gives a run {trial.timeout_s:g} s")
        await mission.outcome(timeout_s=trial.timeout_s)


async def _submitted(client: Client) -> list[tuple[Event, MissionSubmitted]]:
    window = Window((type_filter(MissionSubmitted.TYPE, tenant=client.settings.tenant),))
    found = []
    async for event in client.bus.log.read(window):
        payload = parse(event)
        if isinstance(payload, MissionSubmitted):
            found.append((event, payload))
    return found


def _origin(event: Event, submitted: MissionSubmitted) -> Origin:
    return Origin(event.mission, submitted.objective, submitted.workflow, submitted.inputs)
