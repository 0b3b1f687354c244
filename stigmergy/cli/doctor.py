"""``stig doctor``: what is there, what is missing, and how to mend it."""

from __future__ import annotations

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

_MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def doctor(as_json: Json = False) -> None:
    """Check this machine and the stack; each line says how to mend what is wrong.

    Exit code 1 if something needed is missing.

    \b
    Examples:
      stig doctor
      stig doctor --json
    """
    from stigmergy.cli.checks import check_all

    checks = check_all()
    failed = any(one.state == "fail" for one in checks)
    if as_json:
        screen.print_json([one.model_dump(mode="json") for one in checks])
        raise typer.Exit(int(failed))
    console = screen.out()
    for one in checks:
        console.print(f"{_MARKS[one.state]} {one.name:<12} {screen.plain(one.detail)}", soft_wrap=True)
        if one.mend and one.state != "ok":
            console.print(f"  {'':<12} [dim]→ {screen.plain(one.mend)}[/]", soft_wrap=True)
    raise typer.Exit(int(failed))
