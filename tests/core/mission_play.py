"""One mission, played in the head: what orchestrators decide, what workers and managers say, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from orchestrator.core import agenda
from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission, MissionStatus, TaskStatus
from orchestrator.core.replanning import no_way, replanned, stuck_tasks
from schemas.attempts import Failure
from schemas.ballots import Elector, Terms
from schemas.commands import (
    AnswerTask,
    CancelMission,
    CastVote,
    OpenBallot,
    PauseMission,
    ResumeMission,
    RetryMission,
    SettleBallot,
    SubmitMission,
)
from schemas.commands import (
    MissionCommand as Command,
)
from schemas.errors import Refused
from schemas.events import Payload
from schemas.events.action import ActionExpired, ActionRefused
from schemas.events.attempt import AttemptFinished, AttemptVoted
from schemas.events.goal import GoalAchieved, GoalFailed
from schemas.events.mission import MissionExtended, MissionPaused, MissionReopened, MissionResumed
from schemas.events.task import TaskCancelled, TaskReady, TaskReplanned, TaskSucceeded
from schemas.events.world import WorldConfirmed, WorldTripped, WorldViolated
from schemas.expectations import Violation
from schemas.handoff import NOT_ACCEPTED, HandOff
from schemas.plan import Plan
from tests.core.mission_laws import check_counters, check_step
from tests.core.mission_plans import make_items, make_parts
from tests.core.settled_plans import OPTIONS, said

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_OURS = ("mission", "task", "goal", "ballot")


def bare(mission: Mission) -> Mission:
    """The mission without what depends on where its facts stand on the log; the agenda as an order."""
    order = dict.fromkeys(agenda.in_order(mission))
    numbers = {key: place for place, key in enumerate(order)}
    return replace(mission, seen=Mission().seen, tickets=0, agenda=Mission().agenda.update(numbers))


def fold(mission: Mission, payloads: list[Payload], now: datetime) -> Mission:
    for payload in payloads:
        mission = evolve(mission, Fact(payload, now))
    return mission


class Play:
    """A mission and everything recorded of it; every fact is checked as it is folded."""

    def __init__(self, rng: Random, plan: Plan) -> None:
        self.rng = rng
        self.now = BEGIN
        self.facts: list[Fact] = []
        self.reopened_at = 0
        self.state = Mission(tenant="t", id="m")
        self.counted: set[tuple[str, int]] = set()
        inputs = {"items": make_items(rng)}
        self.ask(SubmitMission(id="c0", mission="m", objective="o", plan=plan, inputs=inputs), plan)

    def put(self, payload: Payload, cause: str = "") -> None:
        """Record and fold one fact, of anybody."""
        fact = Fact(payload, self.now, len(self.facts) + 1, f"e{len(self.facts)}", cause)
        before, self.state = self.state, evolve(self.state, fact)
        self.facts.append(fact)
        if isinstance(payload, MissionReopened) and before.status is MissionStatus.FAILED:
            self.reopened_at = len(self.facts)
        check_counters(self.state)

    def decided(self, payload: Payload, cause: str = "") -> None:
        """Record one fact that was decided upon the present state."""
        check_step(self.state, payload, self.now)
        if isinstance(payload, TaskSucceeded):
            assert (payload.task, payload.attempt) not in self.counted
            self.counted.add((payload.task, payload.attempt))
        self.put(payload, cause)

    def ask(self, command: Command, plan: Plan | None = None) -> None:
        """Carry out a command, or hear that it is refused."""
        try:
            payloads = decide(self.state, command, self.now, plan=plan)
        except Refused:
            return
        for payload in payloads:
            self.decided(payload, command.id)

    def advance(self, *, cut: bool) -> bool:
        """Record what follows, or a part of it. Whatever part is recorded, going on from there ends alike."""
        payloads = advance(self.state, self.now)
        assert advance(self.state, self.now) == payloads
        whole = fold(self.state, payloads, self.now)
        assert advance(whole, self.now) == []
        for at in {self.rng.randint(0, len(payloads)), self.rng.randint(0, len(payloads))}:
            part = fold(self.state, payloads[:at], self.now)
            rest = fold(part, advance(part, self.now), self.now)
            assert bare(rest) == bare(whole), f"cut at {at} of {payloads}"
        if self.state.status.ended:
            assert not any(isinstance(payload, TaskReady) for payload in payloads)
        kept = payloads[: self.rng.randint(0, len(payloads))] if cut else payloads
        for payload in kept:
            self.decided(payload)
        return bool(payloads)

    def open_attempts(self) -> list[str]:
        return sorted(i for i, t in self.state.tasks.items() if t.status is TaskStatus.READY and t.verdict is None)

    def speak(self, name: str, attempt: int, *, well: float = 0.6) -> None:
        """Something is said about an attempt: by its worker, or by a manager."""
        rng, task = self.rng, self.state.tasks.get(name)
        failure = Failure(code="x", message="went wrong", retryable=rng.random() < 0.6)
        reported = task is not None and task.finished is not None and task.attempt == attempt
        if not reported and rng.random() < 0.2:
            self.put(_offer(rng, name, attempt))
            return
        if rng.random() < well:
            self.put(_success(rng, name, attempt) if not reported else WorldConfirmed(task=name, attempt=attempt))
            return
        category = rng.choice(("test_failed", "false_done", "other"))
        violation = Violation(kind="exit_code", message="not so", category=category)
        lost = Failure(code=rng.choice(("worker_lost", "stopped", "not_begun")), message="gone", retryable=True)
        words: list[Payload] = [
            AttemptFinished(task=name, attempt=attempt, worker="w", outcome="failed", failure=failure),
            AttemptFinished(task=name, attempt=attempt, worker="w", outcome="timed_out"),
            WorldViolated(task=name, attempt=attempt, violations=(violation,)),
            ActionExpired(task=name, attempt=attempt, failure=failure.model_copy(update={"retryable": True})),
            ActionExpired(task=name, attempt=attempt, worker=f"w{attempt}", failure=lost),
            ActionRefused(task=name, attempt=attempt, failure=failure),
            ActionExpired(task=name, attempt=attempt, failure=Failure(code=NOT_ACCEPTED, message="nobody took it")),
        ]
        self.put(rng.choice(words))

    def disturb(self) -> None:
        """Something that a sound bus would not bring, but that must not do any harm."""
        rng = self.rng
        choice = rng.randrange(5)
        if choice == 4:
            self.put(WorldTripped(rule="forbidden_paths: x", message="x was changed"))
        elif choice == 0 and self.state.tasks:  # the late word of an old attempt, or of one that never was
            name = rng.choice(sorted(self.state.tasks))
            attempt = self.state.tasks[name].attempt
            others = [number for number in (attempt - 1, attempt + 1, 1) if number > 0 and number != attempt]
            before = bare(self.state)
            self.speak(name, rng.choice(others) if others else attempt + 5)
            assert bare(self.state) == before
        elif choice == 1:
            self._double()
        elif choice == 2:
            before = bare(self.state)
            self.put(_about_nobody(rng))
            assert bare(self.state) == before
        elif self.state.tasks:  # readiness that was announced by somebody who did not know that all is over
            task = rng.choice(sorted(self.state.tasks))
            if self.state.tasks[task].status.ended or self.state.status.ended:
                before = bare(self.state)
                self.put(TaskReady(task=task, attempt=self.state.tasks[task].attempt + 1, skill="s"))
                assert bare(self.state) == before

    def _double(self) -> None:
        fact = self.rng.choice(self.facts[self.reopened_at :] or self.facts)
        ours = fact.payload.TYPE.partition(".")[0] in _OURS
        if isinstance(fact.payload, WorldTripped):
            return  # the managers write it once
        switches = isinstance(fact.payload, MissionPaused | MissionResumed | MissionReopened)
        if switches or (ours and fact.sequence <= self.reopened_at):
            return
        before = bare(self.state)
        self.put(fact.payload, fact.cause)
        if ours:
            assert bare(self.state) == before, fact.payload

    def command(self) -> None:
        """Somebody asks for something."""
        number = f"c{len(self.facts)}"
        failed = sorted(i for i, t in self.state.tasks.items() if t.status is TaskStatus.FAILED)
        some = tuple(self.rng.sample(failed, self.rng.randint(0, len(failed))))
        commands: list[Command] = [
            PauseMission(id=number, mission="m"),
            ResumeMission(id=number, mission="m"),
            ResumeMission(id=number, mission="m"),
            RetryMission(id=number, mission="m"),
            RetryMission(id=number, mission="m", tasks=some),
        ]
        commands += self.answers(number)
        if self.rng.random() < 0.1:
            commands = [CancelMission(id=number, mission="m", reason="enough")]
        commands += self.about_ballots(number)
        self.ask(self.rng.choice(commands))

    def about_ballots(self, number: str) -> list[Command]:
        """What people may say to ballots, or try to."""
        rng = self.rng
        name = rng.choice([*sorted(self.state.ballots), "b0"])
        terms = Terms(question="?", options=OPTIONS, electorate=(Elector(name="ann"), Elector(name="bob")))
        voter = rng.choice(("ann", "bob", "w"))
        return [
            OpenBallot(id=number, mission="m", ballot=rng.choice(("b0", "b1")), terms=terms),
            CastVote(id=number, mission="m", ballot=name, voter=voter, vote=said(rng)),
            CastVote(id=number, mission="m", ballot=name, voter=voter, vote=said(rng)),
            SettleBallot(id=number, mission="m", ballot=name, choice=rng.choice(OPTIONS)),
        ]

    def answers(self, number: str) -> list[Command]:
        """What somebody says to the tasks that wait for it."""
        waiting = sorted(i for i, t in self.state.tasks.items() if t.status is TaskStatus.ASKING)
        decisions: tuple[Literal["retry", "fail"], ...] = ("retry", "fail")
        commands: list[Command] = [
            AnswerTask(id=f"{number}-{place}", mission="m", task=name, decision=self.rng.choice(decisions), advice="so")
            for place, name in enumerate(waiting)
        ]
        asking = sorted(name for name, ballot in self.state.ballots.items() if ballot.status == "asking")
        # The options of a ballot about parallel attempts are the tasks that made them.
        for place, name in enumerate(asking):
            choice = self.rng.choice(self.state.ballots[name].terms.options)
            commands.append(SettleBallot(id=f"{number}-b{place}", mission="m", ballot=name, choice=choice))
        return commands

    def vote(self, name: str, attempt: int) -> None:
        """An agent votes while it is at work."""
        ballot = self.rng.choice([*sorted(self.state.ballots), "b0"])
        agent = self.rng.choice(("w", "x"))
        self.put(AttemptVoted(task=name, attempt=attempt, worker="w", agent=agent, ballot=ballot, vote=said(self.rng)))

    def plan_anew(self, name: str) -> None:
        """The planner answers for a task that is stuck: with something to do instead, or nothing."""
        task = self.state.tasks[name]
        parts = make_parts(self.rng, [])
        self.decided(replanned(self.state, task, parts, "p") if parts else no_way(task, "p", "knows nothing"))

    def step(self) -> None:
        """Anything at all."""
        choice = self.rng.randrange(12)
        waiting = self.open_attempts()
        if choice < 4:
            self.advance(cut=choice == 0)
        elif choice < 8 and waiting:
            name = self.rng.choice(waiting)
            if self.state.ballots and self.rng.random() < 0.3:
                self.vote(name, self.state.tasks[name].attempt)
            else:
                self.speak(name, self.state.tasks[name].attempt)
        elif choice == 10 and stuck_tasks(self.state):
            self.plan_anew(self.rng.choice(stuck_tasks(self.state)))
        elif choice == 8:
            self.now += timedelta(seconds=self.rng.choice((0.1, 1.0, 10.0, 100.0)))
        elif choice == 9:
            self.command()
        else:
            self.disturb()

    def to_the_end(self) -> None:
        """Nobody interferes any more, and every attempt gets its verdict: the mission must end."""
        self.ask(ResumeMission(id="last", mission="m"))
        for _ in range(400):
            moved = self.advance(cut=False)
            if self.state.status.ended and not moved:
                return
            for answer in self.answers(f"a{len(self.facts)}"):
                self.ask(answer)
                moved = True
            self.ask(ResumeMission(id=f"r{len(self.facts)}", mission="m"))  # after a safety constraint was broken
            for name in stuck_tasks(self.state):
                self.plan_anew(name)
                moved = True
            waiting = self.open_attempts()
            for name in waiting:
                self.speak(name, self.state.tasks[name].attempt, well=0.9)
            if not moved and not waiting:
                due = self.state.next_timer
                assert due is not None, f"stuck: {self.state.agenda} {self.state.goals}"
                self.now = max(self.now, due)
        raise AssertionError(f"no end in sight: {self.state}")


def _success(rng: Random, name: str, attempt: int) -> AttemptFinished:
    output: dict[str, Any] = {"n": rng.randint(0, 9), "items": make_items(rng), **said(rng)}
    return AttemptFinished(task=name, attempt=attempt, worker="w", outcome="succeeded", output=output)


def _offer(rng: Random, name: str, attempt: int) -> AttemptFinished:
    offer = HandOff(to=rng.choice(("s", "other", "third")), why="I cannot", notes={"n": attempt})
    made = {"tree": f"{attempt:040x}"}
    return AttemptFinished(
        task=name, attempt=attempt, worker="w", outcome="handed_off", product=made, hand_off=offer, agent="a"
    )


def _about_nobody(rng: Random) -> Payload:
    failure = Failure(code="x", message="?")
    words: list[Payload] = [
        TaskReady(task="nobody", attempt=1, skill="s"),
        TaskCancelled(task="nobody", reason="?"),
        GoalAchieved(goal="nobody"),
        GoalFailed(goal="nobody", failure=failure),
        MissionExtended(group="nobody", branches=(), goals=(), tasks=()),
        MissionReopened(tasks=("nobody",)),
        WorldConfirmed(task="nobody", attempt=1),
        _success(rng, "nobody", 1),
        ActionExpired(task="nobody", attempt=3, failure=failure),
        TaskReplanned(task="nobody", attempt=1, tasks=(), end="nobody~1.a"),
    ]
    return rng.choice(words)
