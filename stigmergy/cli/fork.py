"""``stig fork``: a new mission from an event of another one, with a change."""

from __future__ import annotations

from typing import Annotated

import typer

from stigmergy.cli.options import Json, MissionId


def fork(
    mission: MissionId,
    at: Annotated[
        str | None, typer.Option(metavar="N", help="Event to go on from; seq:N: by sequence. [default: the last one]")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="PATH=VALUE",
            help="task.ID.output, task.ID.output.PATH or inputs.PATH; VALUE is text or JSON; may repeat.",
        ),
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Edit what event N decided or reported, in $EDITOR.")] = False,
    rerun: Annotated[
        list[str] | None, typer.Option(metavar="TASK", help="Execute it anew although nothing touches it; may repeat.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse nothing that was recorded after event N.")] = False,
    objective: Annotated[str, typer.Option(help="Of the new mission. [default: the same]")] = "",
    new_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Of the new mission.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be reused and what would run.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the new mission to its end.")] = False,
    archive: Annotated[bool, typer.Option("--archive/--no-archive", help="Read older events from the archive.")] = True,
    as_json: Json = False,
) -> None:
    """Begin a mission where another one was at event N, with a change.

    What a task came to is taken over if it is given the same as in the origin: nothing is executed for it, no tool, no
    model. What the change reaches runs anew on the workers that are there.

    \b
    Examples:
      stig fork last --at 40 --set task.analyze.output.groups='[]' --dry-run
      stig fork 0193a7 --at 40 --set task.review.output.verdict=approve --follow
      stig fork last --set inputs.greeting=Salute
      stig fork last --at 12 --edit
      stig fork last --rerun verify; stig diff 0193a7 last
    """
    from stigmergy.cli.forking import ForkWish, run

    wish = ForkWish(
        mission=mission,
        at=at,
        sets=tuple(sets or ()),
        edit=edit,
        rerun=tuple(rerun or ()),
        fresh=fresh,
        objective=objective,
        new_id=new_id,
        dry_run=dry_run,
        follow=follow,
        archive=archive,
        as_json=as_json,
    )
    raise typer.Exit(run(wish))
