"""Rules for what to do about a violation, questions to a person and their answers, and policies by kind of error."""

from __future__ import annotations

import asyncio
from dataclasses import replace as replaced
from random import Random
from typing import Any, ClassVar
from unittest.mock import patch

from msgspec.structs import replace

from orchestrator.core import decide as deciding
from orchestrator.core import evolve as folding
from orchestrator.core import recovery as recovering
from orchestrator.core.mission import Mission
from schemas.commands import AnswerTask
from schemas.events import task as tasks
from schemas.expectations import ExitCode, OutputHas
from schemas.ids import uuid7
from schemas.plan import Plan, RecoveryRule, RetryRule, TaskSpec
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.scenario import SKILLS, Scenario

_DOES = ("retry_with_feedback", "roll_back", "other_agent", "other_agent", "ask", "ask", "ask", "fail", "smaller_step")
_CATEGORIES = ("any", "any", "schema_broken", "wrong_result", "limit_exceeded")


class _Part(Part):
    async def live(self) -> None:
        """A person who looks now and then at what is asked, and answers some of it; all of it when it is calm."""
        chance = self.fleet.fates.stream("recovery.person")
        while True:
            await asyncio.sleep(1.0)
            asked = [
                (key, name)
                for key, seen in sorted(self.fleet.checker.followed.items())
                for name, task in seen.book.tasks.items()
                if task.asking and not seen.book.ended
            ]
            for key, name in asked:
                if self.fleet.fates.calm or chance.random() < 0.4:
                    await self._answer(key, name, chance)

    async def _answer(self, key: tuple[str, str], task: str, chance: Random) -> None:
        decision = "retry" if chance.random() < 0.7 else "fail"
        advice = chance.choice(("", "look again")) if decision == "retry" else ""
        command: dict[str, Any] = {"decision": decision, "advice": advice}
        await self.fleet.ask(AnswerTask(id=uuid7(), tenant=key[0], mission=key[1], task=task, **command))

    def act(self, deed: Deed) -> None:
        if self.fleet.fates.strikes("result_wrong"):
            deed.context.exit_code = 1
        if self.fleet.fates.strikes("result_lacks"):
            deed.output = {"n": 1}


def _used_up_rules_are_followed() -> Any:
    sound = recovering.rule_for

    def rule_for(mission: Mission, task: Any, violations: Any) -> Any:
        return sound(mission, replace(task, recovered=()), violations)

    return patch.object(recovering, "rule_for", rule_for)


def _asked_tasks_go_on() -> Any:
    def asked(mission: Mission, fact: Any, event: tasks.TaskAsked) -> Mission:
        mission = folding._asked(mission, fact, event)
        return folding._answered(
            mission, fact, tasks.TaskAnswered(task=event.task, attempt=event.attempt, decision="retry")
        )

    return patch.dict(folding._FOLDS, {tasks.TaskAsked: asked})


def _recoveries_cost_attempts() -> Any:
    sound = folding._FOLDS[tasks.TaskRetried]

    def retried(mission: Mission, fact: Any, event: tasks.TaskRetried) -> Mission:
        after = sound(mission, fact, event)
        if not event.recovery or event.task not in after.tasks:
            return after
        task = replace(after.tasks[event.task], forgiven=mission.tasks[event.task].forgiven)
        return replace(after, tasks=after.tasks.set(event.task, task))

    return patch.dict(folding._FOLDS, {tasks.TaskRetried: retried})


def _answers_are_not_recognised() -> Any:
    sound = deciding._answer

    def answer(mission: Mission, command: AnswerTask) -> Any:
        return sound(mission, command.model_copy(update={"id": f"{command.id}x"}))

    return patch.object(deciding, "_answer", answer)


def _often_doubled(scenario: Scenario) -> Scenario:
    rates = {**scenario.rates, "result_wrong": 0.9, "command_doubled": 0.9, "command_late": 0.9}
    return replaced(scenario, rates=rates, rough_s=25.0)


def _much_fails(scenario: Scenario) -> Scenario:
    rates = {**scenario.rates, "result_wrong": 0.5, "attempt_fails": 0.5}
    return replaced(scenario, rates=rates, rough_s=60.0)


class Recovery(Feature):
    """Rules of all kinds, in tasks and missions."""

    name, share, part = "recovery", 0.25, _Part
    rates: ClassVar = {"result_wrong": 0.4, "result_lacks": 0.3}
    mutants: ClassVar = {
        "rules are never used up": _used_up_rules_are_followed,
        "nobody waits for the answer": _asked_tasks_go_on,
        "recoveries cost attempts": _recoveries_cost_attempts,
        "answers are not recognised": _answers_are_not_recognised,
    }
    sharper: ClassVar = {
        "recoveries cost attempts": _much_fails,
        "answers are not recognised": _often_doubled,
    }

    def plan(self, rng: Random, plan: Plan) -> Plan:
        return super().plan(rng, plan).model_copy(update={"recover": _rules(rng, rng.choice((0, 1)))})

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        retry = task.retry
        if rng.random() < 0.3:
            code = rng.choice(("violated", "worker_lost", "retryable", "timed_out"))
            retry = retry.model_copy(
                update={"by_error": {code: RetryRule(max_attempts=rng.choice((1, 4)), delay_s=0.1)}}
            )
        expects = task.expects
        if rng.random() < 0.7:
            expects = (OutputHas(keys=("by",)), ExitCode(code=0))
        recover = _rules(rng, rng.choice((0, 1, 1, 2)))
        return task.model_copy(update={"recover": recover, "retry": retry, "expects": expects})


def _rules(rng: Random, count: int) -> tuple[RecoveryRule, ...]:
    return tuple(
        RecoveryRule(
            category=rng.choice(_CATEGORIES),  # type: ignore[arg-type]
            do=rng.choice(_DOES),  # type: ignore[arg-type]
            times=rng.choice((1, 2, 2, 3)),
            skill=rng.choice((*SKILLS, "")),
        )
        for _ in range(count)
    )
