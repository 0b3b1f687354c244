"""``stig leaders``: who leads which partitions of the missions, and who has which seat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from stigmergy.leaders import GroupView, MemberView


def leaders(
    gone: Annotated[bool, typer.Option("--all", help="Also members that have gone in the last ten minutes.")] = False,
    as_json: Json = False,
) -> None:
    """Show which replica leads which partitions of the missions, who has a seat, since when, and the last change.

    A partition that nobody leads is taken over by the replicas that are there, within a few seconds.

    \b
    Examples:
      stig leaders
      stig leaders --all
      stig leaders --json
    """
    groups = asyncio.run(_read())
    if as_json:
        screen.print_json([_shown(group, gone).model_dump(mode="json") for group in groups])
        return
    if not any(group.members for group in groups):
        screen.out().print("nobody leads anything; [bold]stig dev[/] or [bold]stig serve all[/] starts who does")
        return
    table = screen.table("group", "member", "state", "since", "leads", "partitions", right=("leads",))
    for group in groups:
        for member in _shown(group, gone).members:
            since = f"{member.since:%Y-%m-%d %H:%M:%S}Z"
            table.add_row(group.name, member.name, _state(member), since, str(len(member.partitions)), spans(member))
    screen.out().print(table)
    for group in groups:
        if group.changed is not None:
            screen.out().print(f"{group.name}: {group.led} of {group.partitions} led; last change ", end="")
            screen.out().print(f"{group.changed:%Y-%m-%d %H:%M:%S}Z, {group.change}", markup=False)


def spans(member: MemberView) -> str:
    """The numbers of its partitions, short: ``0-10,16``."""
    return ",".join(_spans(member.partitions))


def _spans(numbers: Iterable[int]) -> list[str]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]


def _state(member: MemberView) -> str:
    return f"{member.state}: {member.why}" if member.why else member.state


def _shown(group: GroupView, gone: bool) -> GroupView:
    kept = tuple(member for member in group.members if gone or member.state != "gone")
    return group.model_copy(update={"members": kept})


async def _read() -> list[GroupView]:
    from stigmergy.client import Client
    from stigmergy.leaders import leaders as read

    async with Client(name="cli") as client:
        return await read(client)
