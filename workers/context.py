"""What an agent has in hand during one attempt."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from schemas.attempts import AttemptOrder
from schemas.cards import SkillCard
from schemas.errors import Cancelled, Forbidden, PeerUnavailable, StigmergyError
from schemas.events import Payload
from schemas.events.agent import AgentActed, AgentThought, AgentTookOver
from schemas.events.attempt import AttemptProgressed, AttemptVoted
from schemas.events.llm import LlmCompleted
from schemas.events.tool import ToolCalled
from schemas.events.workspace import WorkspaceConflicted
from schemas.handoff import Earlier, HandOff
from schemas.ids import token
from schemas.test_report import TestReport
from schemas.workspaces import Snapshot
from workers.account import Account, MeteredSandbox
from workers.bench import Bench
from workers.handing import WHY_CHARACTERS, HandingOff, checked_notes
from workers.peers.asking import Asker
from workers.sandboxes import Sandbox
from workers.scratchpad import Scratchpad
from workers.stopping import StopFlag

if TYPE_CHECKING:
    from workers.reporting import Reporter


class Learn(Protocol):
    """Takes note of a skill that an agent has learned."""

    def __call__(self, card: SkillCard, *, keep: bool, order: AttemptOrder | None) -> bool:
        """False if the agent offers it already. Raises :class:`~schemas.errors.InvalidInput`."""
        ...


class ToolCall:
    """A running tool call; set ``result`` to a short form of what it gave."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}


class Context:
    """One attempt, seen from inside.

    Attributes:
        agent: the name of the agent at work.
        inputs: what the task was given.
        scratchpad: notes that a later attempt at the same task will find.
        base: snapshot of the workspace as the attempt found it, if there was one.
        handed: if another agent handed the task on: who, why, its notes, and what was tried before. Its ``returned``
            says why an offer of one's own came back.
        feedback: what was not as expected of the attempt before, if a recovery rule tells; advice: what a person said.
    """

    def __init__(
        self,
        order: AttemptOrder,
        bench: Bench,
        reporter: Reporter,
        stop: StopFlag,
        agent: str = "",
        learn: Learn | None = None,
    ) -> None:
        self.order = order
        self._learn = learn
        self.agent = agent
        self.inputs: dict[str, Any] = dict(order.action.parameters)
        self.base = Snapshot.model_validate(order.workspace) if order.workspace is not None else None
        self.origin = self.base
        self.handed = order.handed
        self.offer: HandOff | None = None
        self.feedback = order.feedback
        self.advice = order.advice
        self.bench = bench
        self._reporter = reporter
        self._stop = stop
        self._folder: Path | None = None
        self.delivered: Snapshot | None = None
        self.scratchpad = Scratchpad(order, reporter)
        self.tools: dict[str, int] = {}
        self.tests: TestReport | None = None
        self.exit_code: int | None = None
        self.account = Account(order, alone=bench.alone)

    @property
    def workspace(self) -> Path:
        """The folder to work in; laid out when it is first asked for. An empty one if the task was given none."""
        if self._folder is None:
            self._folder = self.bench.folder_for(self.order)
            if self.base is not None:
                self.bench.workspaces.materialise(self.base, self._folder)
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @cached_property
    def sandbox(self) -> Sandbox:
        """Where tools run programs; what they use is accounted for, and ended at the limits that are expected."""
        return MeteredSandbox(self.bench.sandbox, self.account)

    @property
    def opened(self) -> Path | None:
        """The folder, if anybody asked for it."""
        return self._folder

    def prepare(self) -> None:
        """Put the workspace together that the agent is given; not for agents.

        What earlier tasks made of the same files is merged into it. What does not fit (the same lines, changed side by
        side) is left out and said on the log; whoever puts the results together meets it again. A task that was handed
        over goes on from what its giver had made.
        """
        if self.base is not None and self.order.onto:
            self.base = self._merged(self.base, (), self.order.onto)
        self.origin = self.base
        if self.handed is None:
            return
        if self.handed.workspace is not None:
            self.base = self._taken_over(Snapshot.model_validate(self.handed.workspace))
        if not self.handed.returned:
            tree = self.base.tree if self.base is not None else ""
            self.emit(AgentTookOver(**self._who(), giver=self.handed.attempt, tree=tree))

    def _taken_over(self, given: Snapshot) -> Snapshot:
        assert self.handed is not None
        fresh = [one for one in self.order.onto if one not in self.handed.onto]
        if self.order.workspace is None or not fresh:
            return given
        # What was made since is merged in; both go back to the workspace that the task was planned with.
        return self._merged(Snapshot.model_validate(self.order.workspace), (given,), fresh)

    def _merged(self, base: Snapshot, first: Sequence[Snapshot], onto: Sequence[Earlier]) -> Snapshot:
        sides = [*first, *(Snapshot.model_validate(one.snapshot) for one in onto)]
        merged = self.bench.workspaces.merge(base, sides)
        for conflict in merged.conflicts:
            side = onto[conflict.side - len(first)].task
            self.emit(WorkspaceConflicted(**self._who(), side=side, paths=conflict.paths))
        return merged.snapshot

    # handing on

    def hand_off(self, to: str, *, why: str, notes: dict[str, Any] | None = None) -> NoReturn:
        """End this attempt and offer its task to another skill, with the workspace as it is now. Never returns.

        Whoever takes it finds ``why`` and ``notes`` in its ``context.handed`` and begins with this workspace and
        scratchpad. If the plan does not allow it, or nobody takes it, the task comes back to this skill, and its next
        attempt is told why. Call it in the thread that ``run`` was called in.

        Args:
            to: a skill. Tasks belong to skills, never to an agent or a worker.
            notes: JSON values, 256 KiB at most; larger things belong into the workspace.

        Raises:
            InvalidInput: ``to`` is no skill's name, or the notes are no JSON.
            LimitExceeded: the notes are too large.
        """
        self.check()
        raise HandingOff(HandOff(to=token(to, "skill"), why=why[:WHY_CHARACTERS], notes=checked_notes(notes or {})))

    def scratch(self, name: str) -> Path:
        """A further folder of this attempt's own, not there yet; what is in it is thrown away afterwards."""
        return self.bench.folder_for(self.order, name)

    def deliver(self, product: Snapshot) -> None:
        """Name the task's product, where it is not what lies in the workspace."""
        self.delivered = product

    def ask_peer(
        self, topic: str, question: dict[str, Any] | None = None, *, timeout_s: float = 30.0, agent: str = ""
    ) -> dict[str, Any]:
        """Ask an agent of another worker, and wait for its answer. Both are on the log.

        A worker whose hands are full says so at once; then another one is asked, or the same one after a while, until
        the time is over. Nothing of this attempt is given up meanwhile: ask for little, or hand the task on.

        Args:
            topic: what agents declare to answer; see :func:`stigmergy.answers`.
            question: JSON values, 4 MiB at most.
            timeout_s: for all of it.
            agent: a certain agent, by its name; any that answers the topic if empty.

        Raises:
            PeerBusy: all who could answer were busy, or whoever took it did not answer in time; the message names them.
            PeerUnavailable: nobody else answers the topic.
            PeerFailed: whoever took it failed at it.
            InvalidInput, LimitExceeded: the question is no JSON object, or too large.
        """
        self.check()
        if self.bench.asking is None:
            raise PeerUnavailable(f"nobody answers {topic!r}: this worker has no way to ask others")
        asker = Asker(self.order.tenant, self.order.mission, self.order.task, self.order.attempt, self.agent)
        return self.bench.asking.ask(
            asker,
            topic,
            question or {},
            timeout_s=timeout_s,
            record=lambda payload: self._reporter.report([(self.order, payload)]),
            emit=self.emit,
            check=self.check,
            agent=agent,
        )

    # being stopped

    def check(self) -> None:
        """Raise :class:`~schemas.errors.Cancelled` or :class:`~schemas.errors.TimedOut` if the attempt is to stop."""
        self._stop.check()

    def cancelled(self) -> bool:
        """Whether the attempt is to stop: for tools that poll."""
        return self._stop.is_set()

    # telling

    def think(self, text: str) -> None:
        """Record a step of reasoning."""
        self.emit(AgentThought(**self._who(), text=text))

    def act(self, text: str, **details: Any) -> None:
        """Record a step of work."""
        self.emit(AgentActed(**self._who(), text=text, details=details))

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Say how far a long attempt is."""
        self.emit(AttemptProgressed(**self._who(), message=message, fraction=fraction))

    def llm_completed(
        self,
        model: str,
        *,
        tokens_in: int = 0,
        tokens_out: int = 0,
        cost_usd: float = 0.0,
        duration_s: float = 0.0,
        outcome: Literal["succeeded", "failed"] = "succeeded",
        tool: str = "",
    ) -> None:
        """Record a call of a language model: what it used and cost, as its provider says; seconds and US dollars."""
        self.emit(
            LlmCompleted(
                **self._who(),
                model=model,
                agent=self.agent,
                tool=tool,
                outcome=outcome,
                tokens_in=tokens_in,
                tokens_out=tokens_out,
                cost_usd=cost_usd,
                duration_s=round(duration_s, 6),
            )
        )

    def vote(
        self,
        ballot: str,
        choice: str | None = None,
        *,
        ranking: Sequence[str] = (),
        scores: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Vote in a ballot of this mission: as the task that votes in it, or as the agent, if the electorate has it.

        It counts once the orchestrator has recorded it (``ballot.cast``, or ``ballot.refused`` with the reason).

        Args:
            choice: an option; None abstains. Or a ``ranking``, the best first. Or ``scores``, option to number.
        """
        said: dict[str, Any] = {"reason": reason}
        if ranking:
            said["ranking"] = list(ranking)
        elif scores is not None:
            said["scores"] = dict(scores)
        else:
            said["choice"] = choice
        voted = AttemptVoted(**self._who(), worker=self._reporter.worker, agent=self.agent, ballot=ballot, vote=said)
        self._reporter.emit(self.order, voted)

    def learned(
        self,
        skill: str,
        *,
        description: str = "",
        tags: tuple[str, ...] = (),
        version: str = "1",
        keep: bool = False,
    ) -> bool:
        """Say that this agent can do one more skill from now on; tasks of it come to :meth:`run` like any others, and
        ``context.order.skill`` tells them apart. The whole pool offers it. False if the agent offers it already.

        Args:
            keep: pools with this agent that start later offer it, too, on whatever machine.

        Raises:
            InvalidInput: another agent here offers the skill, it is no name for one, or the pool has learned too many.
            LogUnavailable: it could not be recorded.
        """
        if self._learn is None:
            raise StigmergyError("this worker cannot learn", hint="only workers that have joined a fleet can")
        card = SkillCard(id=skill, agent=self.agent, description=description, tags=tags, version=version, learned=True)
        return self._learn(card, keep=keep, order=self.order)

    def emit(self, payload: Payload) -> None:
        """Record any fact that workers may write.

        Raises:
            Forbidden: a vote under the name of another agent.
        """
        if isinstance(payload, AttemptVoted):
            raise Forbidden("an agent votes by context.vote, under its own name")
        self._reporter.emit(self.order, payload)

    @contextmanager
    def tool(self, name: str, **parameters: Any) -> Iterator[ToolCall]:
        """Record a tool call around the block: its parameters, duration and outcome.

        Raises:
            Forbidden: a safety constraint of the mission forbids it; the block is not entered.
        """
        self.check()
        self._refuse_forbidden(name, parameters)
        call, begun = ToolCall(), time.monotonic()
        self.tools[name] = self.tools.get(name, 0) + 1
        outcome = "failed"
        try:
            yield call
            outcome = "succeeded"
        except Cancelled:
            raise
        except StigmergyError as error:
            call.result = {"error": error.message}
            raise
        finally:
            self.emit(
                ToolCalled(
                    **self._who(),
                    tool=name,
                    parameters=parameters,
                    outcome=outcome,
                    duration_s=round(time.monotonic() - begun, 6),
                    result=call.result,
                )
            )

    def _refuse_forbidden(self, name: str, parameters: dict[str, Any]) -> None:
        safety = self.order.safety
        rule = safety.forbids_command(parameters) or safety.forbids_host(parameters)
        if not rule:
            return
        result = {"forbidden": rule}
        told = ToolCalled(
            **self._who(), tool=name, parameters=parameters, outcome="failed", duration_s=0.0, result=result
        )
        self.emit(told)
        raise Forbidden(f"{name}: the safety constraint {rule!r} forbids it", hint="see safety: in the mission's plan")

    # what the system sees

    def observed(self, tests: TestReport) -> None:
        """Called by the test tool with what it saw; not for agents."""
        self.tests = tests
        self.exit_code = tests.exit_code

    def _who(self) -> dict[str, Any]:
        return {"task": self.order.task, "attempt": self.order.attempt}
