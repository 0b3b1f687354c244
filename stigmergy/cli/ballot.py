"""``stig ballot``: decisions by vote. Look at them, open them, vote."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json, MissionId

if TYPE_CHECKING:
    from schemas.ballots import Elector, Quorum
    from stigmergy.ballots import MissionBallots

app = typer.Typer(help="Decisions by vote: look at them, open them, vote.", no_args_is_help=True, rich_markup_mode=None)
BallotId = Annotated[str, typer.Argument(metavar="BALLOT", help="Its name; of a vote in a plan, the task's id.")]


@app.command("list")
def list_(mission: MissionId, as_json: Json = False) -> None:
    """Show the ballots of a mission.

    \b
    Examples:
      stig ballot list last
      stig ballot list 0193a7 --json
    """
    from stigmergy.cli.ballot_screen import show_ballots

    views = _with(mission, lambda ballots: ballots.all())
    if as_json:
        screen.print_json([view.model_dump(mode="json") for view in views])
    else:
        show_ballots(views, screen.out())


@app.command()
def show(mission: MissionId, ballot: BallotId, as_json: Json = False) -> None:
    """Show one ballot: every vote with its reason, the count, the dissent.

    \b
    Examples:
      stig ballot show last choose
      stig ballot show 0193a7 choose --json
    """
    from stigmergy.cli.ballot_screen import show_ballot

    view = _with(mission, lambda ballots: ballots.one(ballot))
    if as_json:
        screen.print_json(view.model_dump(mode="json"))
    else:
        show_ballot(view, screen.out())


@app.command("open")
def open_(
    mission: MissionId,
    ballot: BallotId,
    question: Annotated[str, typer.Option("--question", "-q", help="What is to be decided.")],
    options: Annotated[list[str], typer.Option("--option", "-o", help="One that may be chosen; repeat it.")],
    voters: Annotated[
        list[str], typer.Option("--voter", "-v", metavar="NAME[=WEIGHT]", help="A person who may vote; repeat it.")
    ],
    agents: Annotated[
        list[str] | None, typer.Option("--agent", metavar="NAME[=WEIGHT]", help="An agent that may; repeat it.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(help="simple, two_thirds, weighted, unanimous, plurality, ranked or schulze."),
    ] = "simple",
    quorum: Annotated[str, typer.Option(help="How many must vote: 2, or 60%.")] = "50%",
    deadline: Annotated[str, typer.Option(help="How long it is open: 10m, 2h, 1d.")] = "1h",
    undecided: Annotated[str, typer.Option(help="Where nothing is decided: fail, ask or status_quo.")] = "fail",
    status_quo: Annotated[str, typer.Option(help="The option that stands then.")] = "",
) -> None:
    """Put a question to a vote, in a mission that runs.

    \b
    Examples:
      stig ballot open last release -q "Release today?" -o yes -o no -v ann -v bob -v cy --rule two_thirds
      stig ballot open last lead -q "Who leads?" -o ann -o bob -v ann=2 -v bob --rule ranked --deadline 1d
    """
    electors = [_elector(name, "person") for name in voters] + [_elector(name, "agent") for name in agents or ()]
    terms = {"rule": rule, "quorum": _quorum(quorum), "deadline_s": _seconds(deadline)}
    if undecided != "fail":
        terms |= {"undecided": undecided, "status_quo": status_quo}
    _with(mission, lambda ballots: ballots.open(ballot, question, options, electors, **terms))
    typer.echo(f"ballot {ballot} is open: stig ballot vote {mission} {ballot} CHOICE --as NAME")


@app.command()
def vote(
    mission: MissionId,
    ballot: BallotId,
    choices: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHOICE]...", help="An option; for a ranking several, the best first."),
    ] = None,
    voter: Annotated[str, typer.Option("--as", metavar="NAME", help="Who votes [default: the login name].")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays on record.")] = "",
    abstain: Annotated[bool, typer.Option("--abstain", help="Take part, and choose nothing.")] = False,
) -> None:
    """Vote, as a person of the electorate. Voting again changes the vote as long as the ballot is open.

    \b
    Examples:
      stig ballot vote last release yes --as ann --reason "the tests pass"
      stig ballot vote last lead bob ann --as cy
      stig ballot vote last release --abstain --as bob
    """
    from getpass import getuser

    from schemas.errors import InvalidInput

    if bool(choices) is abstain:
        raise InvalidInput("name an option, or --abstain", hint=f"they are in: stig ballot show {mission} {ballot}")
    name, said = voter or getuser(), choices or []
    how: dict[str, Any] = {"ranking": said} if len(said) > 1 else {"choice": said[0] if said else None}
    _with(mission, lambda ballots: ballots.vote(ballot, name, reason=reason, **how))
    typer.echo(f"{name} has voted in {ballot}: {' > '.join(said) or 'abstained'}")


@app.command()
def settle(
    mission: MissionId,
    ballot: BallotId,
    choice: Annotated[str, typer.Argument(metavar="CHOICE", help="The option that shall stand.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays on record.")] = "",
    by: Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides [default: this process].")] = "",
) -> None:
    """Decide what the votes left open, where the ballot asks a person then.

    \b
    Example:
      stig ballot settle last release no --reason "two against two: we wait"
    """
    _with(mission, lambda ballots: ballots.settle(ballot, choice, reason=reason, by=by))
    typer.echo(f"ballot {ballot} is decided: {choice}")


def _with[T](mission: str, work: Callable[[MissionBallots], Awaitable[T]]) -> T:
    from stigmergy.cli.finding import find
    from stigmergy.client import Client

    async def run() -> T:
        async with Client(name="cli") as client:
            return await work((await find(client, mission)).ballots)

    return asyncio.run(run())


def _elector(said: str, kind: Any) -> Elector:
    from pydantic import ValidationError

    from schemas.ballots import Elector
    from schemas.errors import InvalidInput

    name, _, weight = said.partition("=")
    try:
        return Elector(name=name, kind=kind, weight=float(weight or 1))
    except (ValueError, ValidationError) as error:
        raise InvalidInput(f"{said!r} is no voter", hint="write a name, or name=weight: ann=2") from error


def _quorum(said: str) -> Quorum:
    from orchestrator.planning.settled import quorum_of

    return quorum_of(int(said) if said.isdigit() else said)


def _seconds(said: str) -> float:
    from orchestrator.planning.shorthand import duration

    return duration(said)
