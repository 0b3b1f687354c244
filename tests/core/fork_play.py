"""A fork, played in the head: what it takes over, what it executes, until its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from orchestrator.core.adopting import fingerprint
from orchestrator.core.advance import advance
from orchestrator.core.barriers import given_as_recorded, given_to
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.forking import Recording, recall
from orchestrator.core.mission import Mission, TaskStatus
from orchestrator.core.resolve import resolved_task
from schemas.commands import ForkMission
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.task import TaskAdopted, TaskReady
from schemas.events.world import WorldConfirmed
from tests.core.mission_laws import check_counters
from tests.core.mission_plans import make_items
from tests.core.mission_play import BEGIN, bare


def recording_of(facts: list[Fact], at: int) -> Recording:
    return recall(Mission(tenant="t", id="m"), ((fact.sequence, fact) for fact in facts), at)


class ForkPlay:
    """Every attempt succeeds; with ``rng`` under random outputs, else what it was given is what it makes."""

    def __init__(self, command: ForkMission, origin: Recording, rng: Random | None = None) -> None:
        self.rng = rng
        self.now: datetime = BEGIN + timedelta(days=1)
        self.state = Mission(tenant="t", id=command.mission)
        self.facts: list[Fact] = []
        self.executed: dict[str, TaskReady] = {}
        self.adopted: dict[str, TaskAdopted] = {}
        for payload in decide(self.state, command, self.now, origin=origin):
            self.put(payload, command.id)

    def put(self, payload: Payload, cause: str = "") -> None:
        if isinstance(payload, TaskReady):
            self.executed[payload.task] = payload
        if isinstance(payload, TaskAdopted):
            self._check_adopted(payload)
            self.adopted[payload.task] = payload
        fact = Fact(payload, self.now, len(self.facts) + 1, f"f{len(self.facts)}", cause)
        self.state = evolve(self.state, fact)
        self.facts.append(fact)
        if self.state.goals:
            check_counters(self.state)
        if payload.TYPE.partition(".")[0] in ("mission", "task", "goal"):
            assert bare(evolve(self.state, fact)) == bare(self.state), payload

    def _check_adopted(self, payload: TaskAdopted) -> None:
        """Only what is given the same, and only once everything it needs has come about."""
        task = self.state.tasks[payload.task]
        assert task.status is TaskStatus.WAITING
        assert task.unmet == 0
        if not payload.changed:
            given = given_as_recorded(self.state, task.spec)
            given = given if given is not None and given.met == payload.needs_met else given_to(self.state, task.spec)
            inputs, workspace, expects = resolved_task(self.state, task, given)
            spec = task.spec
            ready = TaskReady(
                task=spec.id, attempt=1, skill=spec.skill, intent=spec.intent, inputs=inputs, workspace=workspace,
                expects=expects, needs_met=() if given is None else given.met,
            )  # fmt: skip
            assert fingerprint(ready) == payload.fingerprint

    def to_the_end(self) -> ForkPlay:
        for _ in range(400):
            payloads = advance(self.state, self.now)
            if self.rng is not None and payloads:  # whoever decides may die between two facts
                payloads = payloads[: self.rng.randint(1, len(payloads))]
            for payload in payloads:
                self.put(payload)
            if self.state.status.ended and not payloads:
                return self
            waiting = [name for name, task in self.state.tasks.items() if task.status is TaskStatus.READY]
            for name in sorted(waiting):
                self._execute(name)
            if not payloads and not waiting:
                due = self.state.next_timer
                assert due is not None, f"stuck: {self.state.agenda}"
                self.now = max(self.now, due)
        raise AssertionError("no end in sight")

    def _execute(self, name: str) -> None:
        task = self.state.tasks[name]
        if task.verdict is not None:
            return
        output: dict[str, Any] = {"n": 1, "items": ["a"], **self.executed[name].inputs}
        if self.rng is not None:
            output = {"n": self.rng.randint(0, 9), "items": make_items(self.rng)}
        attempt = task.attempt
        self.put(AttemptFinished(task=name, attempt=attempt, worker="w", outcome="succeeded", output=output))
        self.put(WorldConfirmed(task=name, attempt=attempt))
