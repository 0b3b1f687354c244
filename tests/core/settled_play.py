"""One mission of a template, driven by hand: attempts end as the test says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, TaskStatus
from orchestrator.planning import check_plan, load_template
from schemas.attempts import Failure
from schemas.commands import MissionCommand, SubmitMission
from schemas.events import Payload
from schemas.events.attempt import AttemptFinished, AttemptVoted
from schemas.events.task import TaskCancelled
from schemas.events.world import WorldConfirmed, WorldViolated
from schemas.expectations import Observation, Violation
from schemas.plan import Plan

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def plan_of(tasks: str) -> Plan:
    """The plan of a template with these tasks."""
    plan = load_template(f"workflow: w\ninputs: {{workspace: {{type: object, required: false}}}}\n{tasks}", "w").plan(
        {}
    )
    check_plan(plan)
    return plan


class Drive:
    """A mission under way; everything that follows is recorded at once."""

    def __init__(self, tasks: str) -> None:
        self.now, self.facts = BEGIN, list[Fact]()
        self.state = Mission(tenant="t", id="m")
        self.plan = plan_of(tasks)
        self.ask(SubmitMission(id="c0", mission="m", objective="o", plan=self.plan, inputs={"workspace": {}}))

    def put(self, *payloads: Payload, cause: str = "") -> None:
        for payload in payloads:
            fact = Fact(payload, self.now, len(self.facts) + 1, f"e{len(self.facts)}", cause)
            self.state = evolve(self.state, fact)
            self.facts.append(fact)
        while following := advance(self.state, self.now):
            for payload in following:
                fact = Fact(payload, self.now, len(self.facts) + 1, f"e{len(self.facts)}")
                self.state = evolve(self.state, fact)
                self.facts.append(fact)
        self.now += timedelta(milliseconds=1)

    def ask(self, command: MissionCommand) -> None:
        plan = self.plan if isinstance(command, SubmitMission) else None
        self.put(*decide(self.state, command, self.now, plan=plan), cause=command.id)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.put()

    def done(self, task: str, output: dict[str, Any] | None = None, **more: Any) -> None:
        """The present attempt of the task succeeds."""
        attempt = self.attempt(task)
        said = AttemptFinished(task=task, attempt=attempt, worker="w", outcome="succeeded", output=output or {}, **more)
        self.put(said, WorldConfirmed(task=task, attempt=attempt))

    def violated(self, task: str, output: dict[str, Any]) -> None:
        """It says that it has succeeded, and what was seen says otherwise."""
        attempt = self.attempt(task)
        said = AttemptFinished(task=task, attempt=attempt, worker="w", outcome="succeeded", output=output)
        self.put(said, WorldViolated(task=task, attempt=attempt, violations=(Violation(kind="k", message="not so"),)))

    def fails(self, task: str) -> None:
        failure = Failure(code="x", message="it broke")
        attempt = self.attempt(task)
        self.put(AttemptFinished(task=task, attempt=attempt, worker="w", outcome="failed", failure=failure))

    def votes(self, task: str, agent: str, ballot: str, **vote: Any) -> None:
        """An agent votes from within the task's present attempt."""
        attempt = self.attempt(task)
        self.put(AttemptVoted(task=task, attempt=attempt, worker="w", agent=agent, ballot=ballot, vote=vote))

    def attempt(self, task: str) -> int:
        state = self.state.tasks[task]
        assert state.status is TaskStatus.READY, f"{task} is {state.status}"
        return state.attempt

    def status(self, task: str) -> str:
        return self.state.tasks[task].status.value

    def output(self, task: str) -> dict[str, Any]:
        finished = self.state.tasks[task].finished
        assert finished is not None
        return finished.output

    def said[P: Payload](self, kind: type[P]) -> list[P]:
        return [fact.payload for fact in self.facts if isinstance(fact.payload, kind)]

    def cancelled(self) -> dict[str, str]:
        return {event.task: event.reason for event in self.said(TaskCancelled)}


def seen(**what: Any) -> Observation:
    return Observation.model_validate(what)
