"""Violations on a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stigmergy.cli.screen import plain, table
from stigmergy.cli.sentences import short

if TYPE_CHECKING:
    from rich.console import Console

    from stigmergy.violations import ViolationRow


def show_violations(rows: Sequence[ViolationRow], console: Console) -> None:
    """Print them as a table."""
    if not rows:
        console.print("everything was as expected")
        return
    shown = table("task", "attempt", "category", "expected", "observed", "done about it", right=("attempt",))
    for row in rows:
        given = json.dumps(row.expected, ensure_ascii=False) if row.expected else ""
        shown.add_row(
            plain(row.task),
            str(row.attempt or ""),
            row.category.replace("_", " "),
            short(f"{row.kind} {given}".strip(), 60),
            short(row.observed, 100),
            plain(row.done) or "[dim]not decided yet[/]",
        )
    console.print(shown)
