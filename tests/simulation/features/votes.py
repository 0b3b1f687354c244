"""Ballots and parallel attempts: tasks that vote, people who vote by command, agents that vote while they work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar
from unittest.mock import patch

from msgspec.structs import replace

from orchestrator.coordination.voting import count, turnout
from orchestrator.core import balloting, choosing, evolve
from orchestrator.core import ballots as folding
from schemas.attempts import Failure
from schemas.ballots import ChoiceSpec, Terms, Vote, VoteSpec
from schemas.commands import CastVote, OpenBallot, SettleBallot
from schemas.events.attempt import AttemptFinished
from schemas.events.ballot import BallotCast, BallotDecided, BallotLapsed, BallotOpened, BallotRefused
from schemas.events.task import TaskChosen
from schemas.ids import uuid7
from schemas.plan import ROOT_GOAL, Plan, TaskSpec
from tests.core.settled_plans import OPTIONS, make_settled
from tests.core.settled_plans import said as some_vote
from tests.simulation.feature import Deed, Feature, Part
from tests.simulation.said import Said, may_begin
from tests.simulation.scenario import Script, Wish

_PERSON = "ann"
_AGENT = "actor"


@dataclass
class _Round:
    """What was said of one round of a ballot, kept by other rules than it is folded by."""

    terms: Terms
    votes: dict[str, Vote] = field(default_factory=dict)
    cast: int = 0
    refused: int = 0
    ended: str = ""


class _Part(Part):
    def __init__(self, fleet: Any) -> None:
        super().__init__(fleet)
        self._rounds: dict[tuple[tuple[str, str], str, int], _Round] = {}
        self._chance = fleet.fates.stream("votes.people")
        self.laws = {
            BallotOpened: self._opened,
            BallotCast: self._cast,
            BallotRefused: self._refused,
            BallotDecided: self._decided,
            BallotLapsed: self._lapsed,
            TaskChosen: self._chosen,
        }
        self.verbs = {"vote": self._vote, "open_ballot": self._open}

    # what people and agents do

    async def _vote(self, script: Script, wish: Wish) -> None:
        open_ = [name for (key, name, _), one in self._rounds.items() if key == script.key and not one.ended]
        ballot = self._chance.choice([*open_, "nothing"])
        who = self._chance.choice((_PERSON, _PERSON, "bob", _AGENT, "eve"))
        address: dict[str, Any] = {"id": uuid7(), "tenant": script.tenant, "mission": script.mission}
        await self.fleet.ask(CastVote(**address, ballot=ballot, voter=who, vote=some_vote(self._chance)))

    async def _open(self, script: Script, wish: Wish) -> None:
        electorate = tuple({"name": name} for name in (_PERSON, "bob"))
        terms = Terms.model_validate(
            {"question": "?", "options": OPTIONS, "electorate": electorate, "deadline_s": 5.0, "undecided": "ask"}
        )
        address: dict[str, Any] = {"id": uuid7(), "tenant": script.tenant, "mission": script.mission}
        await self.fleet.ask(OpenBallot(**address, ballot=self._chance.choice(("b0", "b1")), terms=terms))

    async def live(self) -> None:
        """A person who decides now and then what the votes left open; all of it when it is calm."""
        while True:
            await asyncio.sleep(1.0)
            for (key, name, _), one in list(self._rounds.items()):
                book = self.fleet.checker.followed[key].book
                if one.ended != "asking" or book.ended or not (self.fleet.fates.calm or self._chance.random() < 0.4):
                    continue
                choice = self._chance.choice(one.terms.options)
                address: dict[str, Any] = {"id": uuid7(), "tenant": key[0], "mission": key[1]}
                await self.fleet.ask(SettleBallot(**address, ballot=name, choice=choice))

    def act(self, deed: Deed) -> None:
        mine = (deed.order.tenant, deed.order.mission)
        options = deed.context.inputs.get("options") or OPTIONS
        open_ = [name for (key, name, _), one in self._rounds.items() if key == mine and not one.ended]
        if open_ and deed.chance.random() < 0.5:
            choice = deed.chance.choice((*OPTIONS, "z", None))
            deed.context.vote(deed.chance.choice(open_), choice, reason="on the way")
        deed.output = {**deed.output, **some_vote(deed.chance)}
        if deed.chance.random() < 0.5:
            deed.output["choice"] = deed.chance.choice(list(options))

    # the laws

    def _counts(self, said: Said) -> bool:
        """Whether it is said in a mission that goes on; nobody may who knows that it does not."""
        book = said.book
        if not book.ended:
            return True
        said.need(not said.knew(book.ended_at), "nobody votes in a mission that has ended", book.ended)
        return False

    def _round(self, said: Said) -> _Round:
        key = (said.book.key, said.payload.ballot, said.payload.round)
        said.need(key in self._rounds, "only an open ballot is spoken of")
        return self._rounds[key]

    def _opened(self, said: Said) -> None:
        event, book = said.payload, said.book
        said.need(book.plan is not None, "nothing is decided before there is a plan")
        if not self._counts(said):
            return
        key = (book.key, event.ballot, event.round)
        if event.task:
            task = book.tasks[event.ballot]
            if task.ended:
                return  # whoever ended it and whoever opened it did not know of one another
            said.need(isinstance(task.spec.settle, VoteSpec), "only a vote is opened")
            said.need(event.round == task.attempt + 1, "rounds count one by one", f"after {task.attempt}")
            may_begin(said, task.spec, None, "no ballot is opened before")
            if book.paused_at is not None:
                said.need(not said.knew(book.paused_at), "nothing is opened in a paused mission")
            task.attempt = event.round
            book.begin_task(event.ballot, said.at)
        said.need(key not in self._rounds, "a round is opened once")
        self._rounds[key] = _Round(event.terms)

    def _cast(self, said: Said) -> None:
        event = said.payload
        if not self._counts(said):
            return
        one = self._round(said)
        said.need(not one.ended, "nobody votes once a ballot has ended", one.ended)
        elector = next((each for each in one.terms.electorate if each.name == event.voter), None)
        said.need(elector is not None, "only members vote", event.voter)
        assert elector is not None
        said.need(event.weight == elector.weight, "a vote weighs what the terms say")
        said.need(set(event.ranking) <= set(one.terms.options), "only options are chosen")
        said.need(event.number == one.cast + 1, "no vote is recorded twice", f"after {one.cast}")
        if elector.kind == "task":
            said.need(event.task == event.voter, "nobody votes for a task")
            done = said.book.tasks[event.task].ended == "succeeded"
            said.need(bool(event.said) or done, "a task votes by what it came to")
        elif elector.kind == "agent":
            said.need(bool(event.said), "an agent votes from within its attempt")
        else:
            said.need(not event.task, "a person votes by command")
        one.cast = event.number
        one.votes[event.voter] = Vote(voter=event.voter, ranking=event.ranking, reason=event.reason)

    def _refused(self, said: Said) -> None:
        if self._counts(said):
            one = self._round(said)
            said.need(said.payload.number == one.refused + 1, "nothing is refused twice")
            one.refused = said.payload.number

    def _decided(self, said: Said) -> None:
        event = said.payload
        if not self._counts(said):
            self._come_to(said, None)  # whoever said it goes on with it, until they read that all has ended
            return
        one = self._round(said)
        said.need(one.ended in ("", "asking"), "a ballot is decided once", one.ended)
        result = count(one.terms, one.votes)
        if event.how == "votes":
            said.need(not one.ended, "votes decide before a ballot has lapsed")
            said.need(event.choice == result.choice, "what is decided is what the votes come to", str(result.choice))
            said.need(event.tally == result.tally, "the tally is that of the votes")
        else:
            said.need(result.choice is None, "nobody overrules the votes")
            said.need((event.how == "person") is (one.ended == "asking"), "a person decides where one was asked")
        said.need(event.turnout == turnout(one.terms, one.votes), "who took part is on record")
        against = {name for name, vote in one.votes.items() if vote.choice not in (None, event.choice)}
        said.need({each.voter for each in event.dissent} == against, "the dissent is kept")
        one.ended = "decided"
        self._come_to(said, None)

    def _lapsed(self, said: Said) -> None:
        event = said.payload
        failure = Failure(code="undecided", message=event.why)
        if not self._counts(said):
            if event.then == "fail":
                self._come_to(said, failure)
            return
        one = self._round(said)
        said.need(not one.ended, "a ballot ends once", one.ended)
        said.need(count(one.terms, one.votes).choice is None, "nothing lapses that the votes decide")
        one.ended = "asking" if event.then == "ask" else "lapsed"
        if event.then == "fail":
            self._come_to(said, failure)

    def _come_to(self, said: Said, failure: Failure | None) -> None:
        """The verdict of a task that a ballot settles, for the laws about tasks."""
        task = said.book.tasks.get(said.payload.ballot)
        if task is None or task.ended or task.spec.settle is None:
            return
        attempt = said.payload.round
        if failure is None:
            task.reports[attempt] = _report(said.payload.ballot, attempt)
        task.judge(attempt, failure)

    def _chosen(self, said: Said) -> None:
        event, task = said.payload, said.task()
        if not self._counts(said) or task.ended:
            return
        settle = task.spec.settle
        said.need(isinstance(settle, ChoiceSpec), "only a choice is made")
        assert isinstance(settle, ChoiceSpec)
        said.need(event.attempt == task.attempt + 1, "attempts count one by one", f"after {task.attempt}")
        if event.winner:
            said.need(event.winner in settle.of, "only a member is chosen", event.winner)
            won = said.book.tasks[event.winner].ended
            said.need(won == "succeeded", "only what has succeeded is chosen", f"{event.winner} {won}")
        else:
            said.need(settle.pick == "merge", "only a merge has no winner")
        said.book.begin_task(event.task, said.book.begun[event.winner] if event.winner else said.at)
        task.attempt = event.attempt
        task.reports[event.attempt] = _report(event.task, event.attempt)
        task.judge(event.attempt, None)


def _report(task: str, attempt: int) -> AttemptFinished:
    return AttemptFinished(task=task, attempt=attempt, worker="", outcome="succeeded")


def _everybody_counts() -> Any:
    """Whoever says so is a member."""
    sound = balloting._elector

    def elector(ballot: Any, name: str, kinds: Any) -> Any:
        return sound(ballot, name, kinds) or ballot.terms.electorate[0].model_copy(update={"name": name})

    return patch.object(balloting, "_elector", elector)


def _the_quorum_is_forgotten() -> Any:
    sound = balloting.counted

    def counted(mission: Any, ballot: Any, *, late: bool = False) -> Any:
        free = ballot.terms.model_copy(update={"quorum": type(ballot.terms.quorum)()})
        return sound(mission, replace(ballot, terms=free), late=late)

    return patch.object(balloting, "counted", counted)


def _the_last_vote_is_lost() -> Any:
    """An earlier vote is not replaced."""
    sound = folding.BALLOTS[BallotCast]

    def cast(mission: Any, fact: Any, event: BallotCast) -> Any:
        before = mission.ballots.get(event.ballot)
        after = sound(mission, fact, event)
        if before is None or event.voter not in before.votes or event.ballot not in after.ballots:
            return after
        kept = replace(after.ballots[event.ballot], votes=before.votes)
        return replace(after, ballots=after.ballots.set(event.ballot, kept))

    return patch.dict(evolve._FOLDS, {BallotCast: cast})


def _failed_ones_are_chosen() -> Any:
    """A violated attempt may win."""

    def counts(part: Any) -> bool:
        return part.finished is not None and part.status.ended

    return patch.object(choosing, "_counts", counts)


class Votes(Feature):
    """Plans with ballots and parallel attempts."""

    name, share, part = "votes", 0.3, _Part
    mutants: ClassVar = {
        "everybody counts as a member": _everybody_counts,
        "the quorum is forgotten": _the_quorum_is_forgotten,
        "a later vote changes nothing": _the_last_vote_is_lost,
        "what has failed is chosen": _failed_ones_are_chosen,
    }

    def plan(self, rng: Random, plan: Plan) -> Plan:
        names = [ROOT_GOAL, *(goal.id for goal in plan.goals)]
        tasks = list(plan.tasks)
        for number in range(rng.randint(1, 2)):
            needs = tuple(task.id for task in rng.sample(plan.tasks, min(len(plan.tasks), rng.choice((0, 0, 1)))))
            tasks += [_lively(rng, spec) for spec in make_settled(rng, f"v{number}", needs, rng.choice(names))]
        groups = tuple(
            group.model_copy(update={"tasks": (*group.tasks, *self._inside(rng))}) if rng.random() < 0.3 else group
            for group in plan.groups
        )
        return plan.model_copy(update={"tasks": tuple(tasks), "groups": groups})

    def _inside(self, rng: Random) -> list[TaskSpec]:
        return [_lively(rng, spec) for spec in make_settled(rng, "v", (), ROOT_GOAL)]

    def wishes(self, rng: Random, script: Script) -> tuple[Wish, ...]:
        verbs = [rng.choice(("vote", "vote", "vote", "open_ballot")) for _ in range(rng.randint(0, 5))]
        return tuple(Wish(rng.random() * rng.choice((3.0, 10.0)), verb) for verb in verbs)


def _lively(rng: Random, spec: TaskSpec) -> TaskSpec:
    """Ballots that end while the run lasts, with voters who are there."""
    if not isinstance(spec.settle, VoteSpec):
        return spec
    voters = tuple(
        one.model_copy(update={"name": _AGENT}) if one.kind == "agent" else one for one in spec.settle.electorate
    )
    deadline = rng.choice((0.5, 3.0, 20.0))
    return spec.model_copy(
        update={"settle": spec.settle.model_copy(update={"electorate": voters, "deadline_s": deadline})}
    )
