"""Wishes: what may be asked of the orchestrator. A command may be refused; the answer says why."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.ballots import Terms
from schemas.budgets import Budget
from schemas.envelope import NO_MISSION
from schemas.errors import InvalidCommand
from schemas.events.registry import explain
from schemas.forks import ForkChange
from schemas.plan import Plan, StrategyWish, TaskId

Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_:@~-]{0,127}$")]


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Token = Field(description="UUIDv7; sending a command twice with one id does it once")
    tenant: Token = "default"
    mission: Token
    by: str = Field(default="", description="who asks, for the record")
    traceparent: str | None = None


class SubmitMission(_Command):
    """Run a workflow template, or a plan made by hand, towards an objective."""

    verb: Literal["submit"] = "submit"
    objective: str = Field(min_length=1, max_length=4000)
    workflow: str = Field(default="", description="name of a template; empty when a plan is given")
    plan: Plan | None = None
    strategy: StrategyWish | None = Field(default=None, description="instead of the one that the template asks for")
    inputs: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    budget: Budget = Field(default=Budget(), description="limits in place of those of the plan, unit by unit")
    if_busy: Literal["go", "refuse"] = Field(default="go", description="what to do while too much waits already")


class ForkMission(_Command):
    """Begin a mission where another one was at one of its events, with changes; what they do not touch is reused."""

    verb: Literal["fork"] = "fork"
    origin: Token
    at: int = Field(ge=1, description="number of the event within the origin")
    changes: tuple[ForkChange, ...] = ()
    plan: Plan | None = Field(default=None, description="instead of the origin's")
    rerun: tuple[str, ...] = Field(default=(), description="tasks to execute anew although nothing touches them")
    fresh: bool = Field(default=False, description="reuse nothing that was recorded after the event")
    objective: str = Field(default="", max_length=4000, description="of the new mission; the origin's if empty")
    labels: dict[str, str] = Field(default_factory=dict)


class PauseMission(_Command):
    """Let what runs end, start nothing new."""

    verb: Literal["pause"] = "pause"
    reason: str = ""


class ResumeMission(_Command):
    """Go on after a pause. A mission that has spent its budget needs a larger one."""

    verb: Literal["resume"] = "resume"
    budget: Budget = Field(default=Budget(), description="limits from now on; units that are left out keep theirs")


class CancelMission(_Command):
    """Stop everything that runs, and end the mission."""

    verb: Literal["cancel"] = "cancel"
    reason: str = ""


class RetryMission(_Command):
    """Give the failed tasks of a failed mission (or the named ones) new attempts."""

    verb: Literal["retry"] = "retry"
    tasks: tuple[str, ...] = ()


class AnswerTask(_Command):
    """Say what to do about a task that waits for a person: try it again, with advice, or let it fail."""

    verb: Literal["answer"] = "answer"
    task: str
    decision: Literal["retry", "fail"] = "retry"
    advice: str = Field(default="", max_length=4000)


class OpenBallot(_Command):
    """Put a question to a vote, beside the plan of a running mission."""

    verb: Literal["open_ballot"] = "open_ballot"
    ballot: TaskId
    terms: Terms


class CastVote(_Command):
    """Vote as a person of the electorate. As long as the ballot is open a later vote takes the place of the earlier."""

    verb: Literal["cast_vote"] = "cast_vote"
    ballot: str
    voter: str = Field(min_length=1, max_length=100)
    vote: dict[str, Any] = Field(description="choice (null abstains), ranking or scores; and reason")


class SettleBallot(_Command):
    """Decide as a person what the votes left open, where the terms of the ballot say to ask."""

    verb: Literal["settle_ballot"] = "settle_ballot"
    ballot: str
    choice: str
    reason: str = Field(default="", max_length=4000)


class _Scope(_Command):
    """What a stop is about: a mission; or, without one, all of the tenant; with ``everyone``, all tenants.

    ``worker`` and ``agent`` narrow it to what that worker, or that agent, does.
    """

    mission: Annotated[str, Field(pattern=r"^(_|[A-Za-z0-9][A-Za-z0-9_:@~-]{0,127})$")] = NO_MISSION
    everyone: bool = False
    worker: str = ""
    agent: str = ""
    reason: str = Field(default="", max_length=1000)


class StopWork(_Scope):
    """Stop what runs in the scope at once, and let nothing begin there until it is resumed.

    The command puts it on record; the stop itself travels ahead of it, over core NATS.
    """

    verb: Literal["stop"] = "stop"


class ResumeWork(_Scope):
    """Lift the stops of the scope and of everything within it."""

    verb: Literal["restart"] = "restart"


BallotCommand = OpenBallot | CastVote | SettleBallot
MissionCommand = (
    SubmitMission
    | ForkMission
    | PauseMission
    | ResumeMission
    | CancelMission
    | RetryMission
    | AnswerTask
    | OpenBallot
    | CastVote
    | SettleBallot
)
"""What is decided upon the state of one mission."""

Command = Annotated[MissionCommand | StopWork | ResumeWork, Field(discriminator="verb")]
_ADAPTER: TypeAdapter[Command] = TypeAdapter(Command)


def command_json(command: Command) -> bytes:
    """The command as it travels: as in events, fields that have their default values are left out. Of a plan of 2000
    tasks that is nine tenths of the bytes, which would take 0.1 s to write and to read."""
    fields = command.__pydantic_serializer__.to_json(command, exclude_defaults=True)  # an id at least
    return b'{"verb":"%b",' % command.verb.encode() + fields[1:]


def parse_command(raw: bytes) -> Command:
    """The command in ``raw`` JSON. Raises :class:`InvalidCommand`, naming the fields that do not fit."""
    try:
        return _ADAPTER.validate_json(raw)
    except ValidationError as error:
        raise InvalidCommand(
            f"not a command: {explain(error)}", hint="`stig schema export` writes the schema of every command"
        ) from error


class CommandReply(BaseModel):
    """The answer to a command: accepted, or refused with the reason.

    ``busy`` asks whoever submits missions to slow down: ``open_tasks`` of the tenant have not ended yet, which is more
    than ``busy_above``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: bool
    mission: str = ""
    code: str = ""
    reason: str = ""
    hint: str = ""
    busy: bool = False
    open_tasks: int = 0
    busy_above: int = 0
