"""``stig diff``: where two missions part, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stigmergy.cli import screen
from stigmergy.cli.recordings import connected, recording
from stigmergy.cli.sentences import short
from stigmergy.comparing import Comparison, compare

if TYPE_CHECKING:
    from rich.console import Console

_MOST = 30


async def compare_missions(a: str, b: str, *, as_json: bool) -> bool:
    """Print the comparison; True if they are the same. Raises :class:`InvalidInput` if one is not there."""
    async with connected(a, b) as client:
        left, right = await recording(client, a), await recording(client, b)
    found = compare(left.events, right.events)
    if as_json:
        screen.print_json(found.model_dump(mode="json"))
    else:
        show(found, screen.out())
    return found.same


def show(found: Comparison, console: Console) -> None:
    """Print it for people."""
    for sign, mission, status, count in zip("AB", (found.a, found.b), found.status, found.counts, strict=True):
        console.print(f"{sign}  {mission}  {screen.status(status)}  [dim]{screen.counted(count, 'event')}[/]")
    if found.same:
        console.print("\n[green]the same[/] [dim]but for times, ids and workers[/]")
        return
    if (first := found.first) is not None:
        console.print(f"\nthey part at [bold]{first.type}[/] {screen.plain(first.subject)} [dim]#{first.occurrence}[/]")
        console.print(f"  [dim]A:[/] {_place(first.a)}  [dim]B:[/] {_place(first.b)}")
        for field in first.fields:
            console.print(f"  {short(field, 200)}", soft_wrap=True)
        if found.events > 1:
            console.print(f"  [dim]{screen.counted(found.events - 1, 'more event')} differ or are on one side only[/]")
    if found.tasks:
        rows = screen.table("task", "", "A", "B")
        for one in found.tasks[:_MOST]:
            rows.add_row(screen.plain(one.task), one.field, short(str(one.a), 60), short(str(one.b), 60))
        console.print()
        console.print(rows)
        if len(found.tasks) > _MOST:
            console.print(f"[dim]… and {len(found.tasks) - _MOST} more: --json shows all[/]")
    if found.result:
        console.print("\n[dim]result[/]")
        for line in found.result[:_MOST]:
            console.print(f"  {short(line, 200)}", soft_wrap=True)


def _place(number: int | None) -> str:
    return "not there" if number is None else f"event {number:,}"
