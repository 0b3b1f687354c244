"""Ballots as people look at them, and as they vote: folded from the log, on demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from events.port import Window
from schemas.ballots import Dissent, Elector, Terms, Turnout
from schemas.commands import CastVote, OpenBallot, SettleBallot
from schemas.envelope import Event, moment_of
from schemas.errors import InvalidEvent, InvalidInput
from schemas.events import parse
from schemas.events.ballot import BallotCast, BallotDecided, BallotLapsed, BallotOpened, BallotRefused
from schemas.events.mission import ENDS
from schemas.events.registry import explain
from schemas.ids import process_name, uuid7
from schemas.subjects import noun_filter

if TYPE_CHECKING:
    from stigmergy.client import Client


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class VoteView(_View):
    """One vote on record. It ``counts`` unless the voter cast a later one, or it was refused (``refused`` says why)."""

    voter: str
    choice: str | None
    ranking: tuple[str, ...] = ()
    reason: str = ""
    weight: float = 1.0
    at: datetime
    counts: bool = True
    refused: str = ""
    task: str = ""


class BallotView(_View):
    """One round of a ballot.

    ``status``: ``open``; ``decided``; ``lapsed``; ``asking``, where a person is to decide what the votes left open;
    ``closed``, where the mission ended first. ``how``: by ``votes``, ``status_quo`` or ``person``.
    """

    id: str
    round: int
    question: str
    options: tuple[str, ...]
    electorate: tuple[Elector, ...]
    rule: str
    status: str = "open"
    opened_at: datetime
    closes_at: datetime
    ended_at: datetime | None = None
    choice: str | None = None
    how: str = ""
    why: str = ""
    by: str = ""
    tally: dict[str, float] = {}
    turnout: Turnout | None = None
    dissent: tuple[Dissent, ...] = ()
    absent: tuple[str, ...] = ()
    votes: tuple[VoteView, ...] = ()
    task: bool = False


def ballots_of(events: Iterable[Event]) -> list[BallotView]:
    """The ballots that events of one mission tell of, in the order of their opening; other events are passed over."""
    found: dict[tuple[str, int], BallotView] = {}
    for event in events:
        if event.type in ENDS:
            found = {key: _closed(ballot, moment_of(event)) for key, ballot in found.items()}
        elif event.type.startswith("ballot."):
            try:
                payload: Any = parse(event)
            except InvalidEvent:
                continue  # written by a later release
            key = (payload.ballot, payload.round)
            if isinstance(payload, BallotOpened):
                found.setdefault(key, _opened(payload, moment_of(event)))
            elif key in found:
                found[key] = _after(found[key], payload, moment_of(event))
    return list(found.values())


def _opened(event: BallotOpened, at: datetime) -> BallotView:
    terms = event.terms
    return BallotView(
        id=event.ballot,
        round=event.round,
        question=terms.question,
        options=terms.options,
        electorate=terms.electorate,
        rule=terms.rule,
        opened_at=at,
        closes_at=event.closes_at,
        task=event.task,
    )


def _after(ballot: BallotView, event: Any, at: datetime) -> BallotView:
    match event:
        case BallotCast():
            fields = event.model_dump(include={"voter", "choice", "ranking", "reason", "weight", "task"})
            earlier = [
                vote.model_copy(update={"counts": False}) if vote.voter == event.voter else vote
                for vote in ballot.votes
            ]
            return ballot.model_copy(update={"votes": (*earlier, VoteView(**fields, at=at))})
        case BallotRefused():
            said = event.model_dump(include={"voter", "reason", "task"})
            vote = VoteView(**said, choice=None, at=at, counts=False, refused=event.why)
            return ballot.model_copy(update={"votes": (*ballot.votes, vote)})
        case BallotDecided():
            fields = event.model_dump(include={"choice", "how", "why", "by", "tally"})
            kept = {"turnout": event.turnout, "dissent": event.dissent, "absent": event.absent}
            return ballot.model_copy(update={**fields, **kept, "status": "decided", "ended_at": at})
        case BallotLapsed():
            status = "asking" if event.then == "ask" else "lapsed"
            told = {"why": event.why, "tally": event.tally, "turnout": event.turnout, "absent": event.absent}
            return ballot.model_copy(update={**told, "status": status, "ended_at": at})
    return ballot


def _closed(ballot: BallotView, at: datetime) -> BallotView:
    if ballot.status not in ("open", "asking"):
        return ballot
    return ballot.model_copy(update={"status": "closed", "ended_at": at})


class MissionBallots:
    """The ballots of one mission, in the hands of a client."""

    def __init__(self, client: Client, mission: str) -> None:
        self._client = client
        self._mission = mission

    async def all(self) -> list[BallotView]:
        """Every round of every ballot, in the order of their opening."""
        tenant, log = self._client.settings.tenant, self._client.bus.log
        filters = tuple(noun_filter(noun, tenant=tenant, mission=self._mission) for noun in ("ballot", "mission"))
        return ballots_of([event async for event in log.read(Window(filters))])

    async def one(self, ballot: str) -> BallotView:
        """The newest round of a ballot. Raises :class:`InvalidInput` if there is none of that name."""
        found = await self.all()
        named = [view for view in found if view.id == ballot]
        if not named:
            there = ", ".join(dict.fromkeys(view.id for view in found))
            hint = f"there is {there}" if there else "`stig ballot open` opens one"
            raise InvalidInput(f"mission {self._mission} has no ballot {ballot!r}", hint=hint)
        return named[-1]

    async def open(
        self, ballot: str, question: str, options: Sequence[str], electorate: Sequence[str | Elector], **terms: Any
    ) -> None:
        """Put a question to a vote, beside the plan.

        Args:
            ballot: what it is called; unique within the mission.
            electorate: names of people, or electors with a weight, or agents.
            terms: ``rule``, ``quorum``, ``deadline_s``, ``undecided``, ``status_quo``: see
                :class:`schemas.ballots.Terms`.

        Raises:
            InvalidInput: the terms do not hold together.
            Refused: the mission has ended, or the name is taken.
        """
        electors = tuple(one if isinstance(one, Elector) else Elector(name=one) for one in electorate)
        try:
            made = Terms(question=question, options=tuple(options), electorate=electors, **terms)
            command = OpenBallot(**self._address(), ballot=ballot, terms=made)
        except ValidationError as error:
            raise InvalidInput(f"this makes no ballot: {explain(error)}", hint="stig ballot open --help") from error
        await self._client.command(command)

    async def vote(
        self,
        ballot: str,
        voter: str,
        choice: str | Literal[False] | None = False,
        *,
        ranking: Sequence[str] = (),
        scores: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Vote as a person of the electorate; a later vote takes the place of the earlier one.

        Args:
            choice: an option, or None to abstain.
            ranking: instead, the options from the best to the worst.
            scores: instead, option to number.

        Raises:
            Refused: there is no such ballot, it is over, or the voter may not vote in it, or it is no vote.
        """
        said: dict[str, Any] = {"reason": reason}
        if ranking:
            said["ranking"] = list(ranking)
        elif scores is not None:
            said["scores"] = dict(scores)
        elif choice is not False:
            said["choice"] = choice
        await self._client.command(CastVote(**self._address(), ballot=ballot, voter=voter, vote=said))

    async def settle(self, ballot: str, choice: str, *, reason: str = "", by: str = "") -> None:
        """Decide what the votes left open. Raises :class:`Refused` if the ballot asks nobody."""
        address = self._address() | ({"by": by} if by else {})
        await self._client.command(SettleBallot(**address, ballot=ballot, choice=choice, reason=reason))

    def _address(self) -> dict[str, Any]:
        return {
            "id": uuid7(),
            "tenant": self._client.settings.tenant,
            "mission": self._mission,
            "by": process_name(),
        }
