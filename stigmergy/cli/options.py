"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="A module or .py file with agents of your own; may be repeated."),
]
MissionId = Annotated[
    str, typer.Argument(metavar="ID", help="A mission's id, the beginning of one that is unique, or: last.")
]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget", metavar="UNIT=LIMIT", help="What it may spend: cost=2.50, tokens=200000 …; may be repeated."
    ),
]
