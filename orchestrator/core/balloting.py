"""What follows for ballots: their opening, what members said, their outcome; and the commands about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from orchestrator.coordination.voting import turnout
from orchestrator.core import agenda
from orchestrator.core.barriers import LONGEST_S
from orchestrator.core.members import counted
from orchestrator.core.mission import BallotState, Mission, MissionStatus, TaskState
from orchestrator.core.resolve import resolved_options
from schemas.ballots import Dissent, Elector, Terms, VoteSpec, paper
from schemas.commands import CastVote, OpenBallot, SettleBallot
from schemas.errors import InvalidWorkflow, Refused
from schemas.events import Payload
from schemas.events.attempt import AttemptVoted
from schemas.events.ballot import BallotCast, BallotDecided, BallotLapsed, BallotOpened, BallotRefused
from schemas.events.registry import explain

MOST_BALLOTS = 1000
"""Of one mission, opened by command."""


def opened(mission: Mission, task: TaskState, now: datetime) -> BallotOpened:
    """The fact by which a task's ballot is opened.

    Raises:
        ReferenceMissing: something referred to has not come about.
        InvalidWorkflow: what a reference stands for makes no ballot.
    """
    spec = task.spec.settle
    assert isinstance(spec, VoteSpec)
    question, options = resolved_options(mission, task, spec)
    try:
        terms = spec.terms(question, options)
    except ValidationError as error:
        raise InvalidWorkflow(f"task {task.spec.id!r} makes no ballot: {explain(error)}") from error
    return _open(task.spec.id, task.attempt + 1, terms, now, task=True)


def _open(name: str, number: int, terms: Terms, now: datetime, *, task: bool = False, by: str = "") -> BallotOpened:
    closes = now + timedelta(seconds=min(terms.deadline_s, LONGEST_S))
    return BallotOpened(ballot=name, round=number, terms=terms, closes_at=closes, task=task, by=by)


# what members said


def _cast(mission: Mission, name: str, late: bool) -> list[Payload]:
    """The vote of a task that has succeeded."""
    task = mission.tasks[name]
    ballot = mission.ballots[task.spec.member_of]
    said = task.finished.output if task.finished is not None else {}
    return [_recorded(ballot, name, said, {"task": name, "attempt": task.attempt})]


def _said(mission: Mission, identifier: str, late: bool) -> list[Payload]:
    """What an agent said from within its attempt; as the task that votes, if it makes an attempt at that."""
    name, _, key = identifier.partition(" ")
    ballot = mission.ballots[name]
    word: AttemptVoted = ballot.said[key]
    tasks = {elector.name for elector in ballot.terms.electorate if elector.kind == "task"}
    voter = word.task if word.task in tasks else word.agent
    return [_recorded(ballot, voter, word.vote, {"task": word.task, "attempt": word.attempt, "said": key})]


def _recorded(ballot: BallotState, voter: str, said: dict[str, Any], place: dict[str, Any]) -> Payload:
    kinds = ("task",) if voter == place["task"] else ("agent",)
    elector, reason = _elector(ballot, voter, kinds), str(said.get("reason") or "")[:4000]
    try:
        if ballot.status != "open":
            raise ValueError(f"the ballot is {ballot.status}")  # noqa: TRY301 - one place for all that speaks against it
        if elector is None:
            raise ValueError(f"{voter!r} is no member of the electorate")  # noqa: TRY301
        ranking, reason = paper(said, ballot.terms)
    except ValueError as error:
        return BallotRefused(
            ballot=ballot.name,
            round=ballot.round,
            voter=voter[:200],
            why=str(error)[:1000],
            reason=reason,
            number=ballot.refused + 1,
            **place,
        )
    return _vote(ballot, elector, ranking, reason, place)


def _vote(
    ballot: BallotState, elector: Elector, ranking: tuple[str, ...], reason: str, place: dict[str, Any]
) -> BallotCast:
    return BallotCast(
        ballot=ballot.name,
        round=ballot.round,
        voter=elector.name,
        choice=ranking[0] if ranking else None,
        ranking=ranking,
        reason=reason,
        weight=elector.weight,
        number=ballot.cast + 1,
        **place,
    )


def _elector(ballot: BallotState, name: str, kinds: tuple[str, ...]) -> Elector | None:
    return next((one for one in ballot.terms.electorate if one.name == name and one.kind in kinds), None)


# the outcome


def _count(mission: Mission, name: str, late: bool) -> list[Payload]:
    ballot = mission.ballots[name]
    result = counted(mission, ballot, late=late)
    if not result.final or ballot.status != "open":
        return []
    terms = ballot.terms
    if result.choice is not None:
        return [_decided(ballot, result.choice, how="votes", why=result.why, tally=result.tally, rounds=result.rounds)]
    if terms.undecided == "status_quo":
        return [_decided(ballot, terms.status_quo, how="status_quo", why=result.why, tally=result.tally)]
    return [
        BallotLapsed(
            ballot=name,
            round=ballot.round,
            why=result.why,
            then=terms.undecided,
            tally=result.tally,
            turnout=turnout(terms, ballot.votes),
            absent=_absent(ballot),
        )
    ]


def _decided(ballot: BallotState, choice: str, **how: Any) -> BallotDecided:
    votes = [ballot.votes[name] for name in sorted(ballot.votes)]
    dissent = tuple(
        Dissent(voter=vote.voter, choice=vote.choice, reason=vote.reason, weight=vote.weight)
        for vote in votes
        if vote.choice != choice and vote.ranking
    )
    return BallotDecided(
        ballot=ballot.name,
        round=ballot.round,
        choice=choice,
        turnout=turnout(ballot.terms, ballot.votes),
        dissent=dissent,
        absent=_absent(ballot),
        **how,
    )


def _absent(ballot: BallotState) -> tuple[str, ...]:
    return tuple(one.name for one in ballot.terms.electorate if one.name not in ballot.votes)


# commands


def decide_ballot(mission: Mission, command: OpenBallot | CastVote | SettleBallot, now: datetime) -> list[Payload]:
    """The facts that grant a command about a ballot; none if it is granted already. Raises :class:`Refused`."""
    if isinstance(command, OpenBallot):
        return _open_by_command(mission, command, now)
    ballot = mission.ballots.get(command.ballot)
    if ballot is None:
        there = ", ".join(sorted(mission.ballots)[:8])
        hint = f"there is {there}" if there else "none was opened; `stig ballot open` opens one"
        raise Refused(f"mission {mission.id!r} has no ballot {command.ballot!r}", hint=hint)
    return _vote_by_command(ballot, command, now) if isinstance(command, CastVote) else _settle(ballot, command)


def _open_by_command(mission: Mission, command: OpenBallot, now: datetime) -> list[Payload]:
    there = mission.ballots.get(command.ballot)
    if there is not None and there.opening == command.id:
        return []
    if mission.status not in (MissionStatus.RUNNING, MissionStatus.PAUSED):
        raise Refused(f"mission {mission.id!r} is {mission.status.value}: nothing can be decided in it any more")
    if there is not None or command.ballot in mission.tasks:
        raise Refused(f"{command.ballot!r} is there already", hint="give the ballot another name")
    if len(mission.ballots) >= MOST_BALLOTS:
        raise Refused(f"the mission has {len(mission.ballots)} ballots, and may not have more")
    if any(elector.kind == "task" for elector in command.terms.electorate):
        raise Refused("only a ballot of the plan has tasks in its electorate", hint="name people and agents")
    return [_open(command.ballot, 1, command.terms, now, by=command.by)]


def _vote_by_command(ballot: BallotState, command: CastVote, now: datetime) -> list[Payload]:
    if command.id in ballot.heard:
        return []
    if ballot.status != "open" or now >= ballot.closes_at:
        state = "closed" if ballot.status == "open" else ballot.status
        raise Refused(f"ballot {ballot.name!r} is {state}: the vote comes too late", hint="`stig ballot show` has it")
    elector = _elector(ballot, command.voter, ("person",))
    if elector is None:
        other = _elector(ballot, command.voter, ("task", "agent"))
        people = ", ".join(one.name for one in ballot.terms.electorate if one.kind == "person")
        hint = f"these people may: {people}" if people else "nobody votes by command in it"
        why = f"votes by what it does as {other.kind}, not by command," if other else "may not vote"
        raise Refused(f"{command.voter!r} {why} in ballot {ballot.name!r}", hint=hint)
    try:
        ranking, reason = paper(command.vote, ballot.terms)
    except ValueError as error:
        raise Refused(str(error), hint="`stig ballot show` lists the options") from error
    return [_vote(ballot, elector, ranking, reason, {})]


def _settle(ballot: BallotState, command: SettleBallot) -> list[Payload]:
    if ballot.status == "decided" and command.id in ballot.heard:
        return []
    if ballot.status != "asking":
        raise Refused(f"ballot {ballot.name!r} is {ballot.status}, and asks nobody")
    if command.choice not in ballot.terms.options:
        raise Refused(
            f"{command.choice!r} is none of the options", hint=f"they are: {', '.join(ballot.terms.options[:10])}"
        )
    return [_decided(ballot, command.choice, how="person", why=command.reason, by=command.by)]


STEPS: Mapping[str, Callable[[Mission, str, bool], list[Payload]]] = {
    agenda.CAST: _cast,
    agenda.SAID: _said,
    agenda.COUNT: _count,
}
"""What is on the agenda about ballots; also in a paused mission, for what runs there goes on."""
