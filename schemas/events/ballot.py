"""Facts about ballots: decisions by vote. Written by orchestrators only.

A ballot is opened by a task of the plan (it then has the task's id, and a round for each time the task is tried), or by
command.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from schemas.ballots import Dissent, Terms, Turnout
from schemas.events.base import Payload


class BallotPayload(Payload):
    """An event about one round of a ballot; rounds count from 1."""

    ballot: str
    round: int = Field(default=1, ge=1)

    def identity(self) -> tuple[str, ...]:
        return (self.ballot, str(self.round))

    def about(self) -> str | None:
        return self.ballot


class BallotOpened(BallotPayload):
    """The electorate may vote until ``closes_at``."""

    TYPE: ClassVar[str] = "ballot.opened"
    terms: Terms
    closes_at: datetime
    task: bool = Field(default=False, description="whether it settles the task of that id")
    by: str = ""


class BallotCast(BallotPayload):
    """A member voted. Until the ballot ends a later vote of the same member takes the place of the earlier one."""

    TYPE: ClassVar[str] = "ballot.cast"
    voter: str
    choice: str | None = Field(default=None, description="the first of the ranking; null for an abstention")
    ranking: tuple[str, ...] = ()
    reason: str = ""
    weight: float = 1.0
    number: int = Field(ge=1, description="how many votes there are now, replaced ones counted")
    task: str = Field(default="", description="the task whose attempt said it")
    attempt: int = 0
    said: str = Field(
        default="", description="id of the attempt.voted that it was said by; else the task's output says it"
    )

    def identity(self) -> tuple[str, ...]:
        return (self.ballot, str(self.round), str(self.number))


class BallotRefused(BallotPayload):
    """What a task or an agent said is no vote of this ballot, or came too late. It does not count."""

    TYPE: ClassVar[str] = "ballot.refused"
    voter: str
    why: str
    reason: str = ""
    task: str = ""
    attempt: int = 0
    said: str = ""
    number: int = Field(ge=1, description="how many were refused")

    def identity(self) -> tuple[str, ...]:
        return (self.ballot, str(self.round), str(self.number))


class BallotDecided(BallotPayload):
    """The ballot has an outcome, with the dissent kept: who voted otherwise, and why."""

    TYPE: ClassVar[str] = "ballot.decided"
    choice: str
    how: Literal["votes", "status_quo", "person"] = "votes"
    why: str = ""
    tally: dict[str, float] = Field(default_factory=dict, description="option to the weight of the votes for it")
    rounds: tuple[dict[str, float], ...] = Field(default=(), description="tallies of an instant run-off, in order")
    turnout: Turnout
    dissent: tuple[Dissent, ...] = ()
    absent: tuple[str, ...] = ()
    by: str = Field(default="", description="the person who decided what the votes left open")


class BallotLapsed(BallotPayload):
    """The votes decided nothing: no quorum, no majority, or a tie. ``then`` says whether a person is asked."""

    TYPE: ClassVar[str] = "ballot.lapsed"
    why: str
    then: Literal["fail", "ask"] = "fail"
    tally: dict[str, float] = Field(default_factory=dict)
    turnout: Turnout
    absent: tuple[str, ...] = ()
