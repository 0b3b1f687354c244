"""Ballots on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stigmergy.cli.screen import ago, plain, span, table
from stigmergy.cli.sentences import short

if TYPE_CHECKING:
    from rich.console import Console

    from stigmergy.ballots import BallotView

_MARKS = {"decided": "[green]decided[/]", "open": "[cyan]open[/]", "asking": "[yellow]asking[/]"}


def show_ballots(views: Sequence[BallotView], console: Console) -> None:
    """A line for each."""
    if not views:
        console.print("no ballots in this mission; [bold]stig ballot open --help[/] says how to open one")
        return
    console.print(ballot_rows(views))


def ballot_rows(views: Sequence[BallotView]) -> object:
    """A table with a line for each."""
    rows = table("ballot", "status", "choice", "votes", "dissent", "question", right=("votes", "dissent"))
    for view in views:
        name = view.id if view.round == 1 else f"{view.id} (round {view.round})"
        voted = len({vote.voter for vote in view.votes if vote.counts})
        dissent = str(len(view.dissent)) if view.dissent else ""
        rows.add_row(
            plain(name), _status(view), plain(view.choice or ""), f"{voted}/{len(view.electorate)}", dissent,
            short(view.question, 60),
        )  # fmt: skip
    return rows


def show_ballot(view: BallotView, console: Console) -> None:
    """Everything about one."""
    console.print(f"[bold]{short(view.question, 500)}[/]", soft_wrap=True)
    console.print(f"  {_status(view)}{_outcome(view)}", soft_wrap=True)
    left = (view.closes_at - datetime.now(UTC)).total_seconds()
    until = f", closes in {span(left)}" if view.status == "open" and left > 0 else ""
    console.print(
        f"  [dim]ballot {plain(view.id)}, round {view.round}, rule {view.rule}, opened {ago(view.opened_at)}{until}[/]"
    )
    console.print()
    tally = table("option", "weight", right=("weight",))
    for option in view.options:
        mark = f"[green]{plain(option)}[/]" if option == view.choice else plain(option)
        tally.add_row(mark, f"{view.tally.get(option, 0):g}" if view.tally else "")
    console.print(tally)
    console.print()
    votes = table("voter", "weight", "vote", "reason", right=("weight",))
    for vote in view.votes:
        said = " > ".join(vote.ranking) or ("refused" if vote.refused else "abstained")
        tail = f"[red]{short(vote.refused)}[/] " if vote.refused else "" if vote.counts else "[dim]replaced[/] "
        votes.add_row(plain(vote.voter), f"{vote.weight:g}", short(said, 80), f"{tail}{short(vote.reason, 120)}")
    console.print(votes)
    voted = {vote.voter for vote in view.votes if vote.counts}
    missing = [one.name for one in view.electorate if one.name not in voted]
    if missing:
        console.print(f"[dim]not voted: {plain(', '.join(missing[:20]))}[/]")
    for one in view.dissent:
        console.print(
            f"  [yellow]dissent[/] {plain(one.voter)}: {plain(one.choice or '')} {short(one.reason, 300)}",
            soft_wrap=True,
        )


def _status(view: BallotView) -> str:
    return _MARKS.get(view.status, f"[red]{view.status}[/]" if view.status == "lapsed" else view.status)


def _outcome(view: BallotView) -> str:
    if view.choice is None:
        return f": {short(view.why, 300)}" if view.why else ""
    how = {"status_quo": " [dim](the status quo)[/]", "person": f" [dim](by {plain(view.by) or 'a person'})[/]"}
    return f": [bold]{plain(view.choice)}[/]{how.get(view.how, '')}  [dim]{short(view.why, 300)}[/]"
