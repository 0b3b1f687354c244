"""What ``stig fork`` does: the wish put together, tried out or carried out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.commands import ForkMission
from schemas.errors import InvalidInput
from schemas.forks import ForkChange
from schemas.ids import token, uuid7
from stigmergy.cli import screen
from stigmergy.cli.endings import DONE
from stigmergy.cli.recordings import recording
from stigmergy.cli.sentences import short
from stigmergy.cli.workflow_choice import json_or_text

if TYPE_CHECKING:
    from schemas.plan import Plan
    from stigmergy.cli.recordings import Recording
    from stigmergy.client import Client
    from stigmergy.fork_preview import ForkPreview
    from stigmergy.mission_handle import MissionHandle

_FATES = {
    "reused": "[green]reused[/]", "changed": "[magenta]changed[/]", "failed": "[red]failed[/]", "runs": "[cyan]runs[/]",
    "later": "[yellow]later[/]", "not": "[dim]not[/]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForkWish:
    """What the options say."""

    mission: str
    at: str | None
    sets: tuple[str, ...]
    edit: bool
    rerun: tuple[str, ...]
    fresh: bool
    objective: str
    new_id: str | None
    dry_run: bool
    follow: bool
    archive: bool
    as_json: bool


def changes_of(sets: tuple[str, ...]) -> tuple[ForkChange, ...]:
    """``PATH=VALUE`` each; the value is JSON, or else text. Raises :class:`InvalidInput`."""
    found: dict[str, Any] = {}
    for said in sets:
        path, equals, value = said.partition("=")
        if not equals or not path:
            raise InvalidInput(f"{said!r} is no change", hint="write --set PATH=VALUE")
        if path in found:
            raise InvalidInput(f"{path!r} was set twice", hint="leave one of them out")
        found[path] = json_or_text(value)
    return tuple(ForkChange(path=path, value=value) for path, value in found.items())


def run(wish: ForkWish) -> int:
    """Do it; returns the exit code.

    Raises:
        InvalidInput: there is no such mission or event, or a change is none.
        Refused: the fork cannot be made; the message says why.
    """
    if wish.dry_run and wish.follow:
        raise InvalidInput("--dry-run begins nothing that could be followed", hint="leave one of them out")
    return asyncio.run(_run(wish, changes_of(wish.sets)))


async def _run(wish: ForkWish, changes: tuple[ForkChange, ...]) -> int:
    from stigmergy.client import Client

    async with Client(name="cli") as client:
        origin = await recording(client, wish.mission, archive=wish.archive)
        at, plan = number_of(origin, wish.at), None
        if wish.edit:
            from stigmergy.cli.fork_edit import edited

            at, edits, plan = await asyncio.to_thread(edited, origin, at)
            changes = (*changes, *edits)
        command = _command(client, origin, wish, at, changes, plan)
        if wish.dry_run:
            from stigmergy.fork_preview import preview

            show_preview(preview(command, origin.events), as_json=wish.as_json)
            return DONE
        await client.command(command, timeout_s=30.0)
        return await _begun(client, client.mission(command.mission), command, wish)


def _command(
    client: Client, origin: Recording, wish: ForkWish, at: int, changes: tuple[ForkChange, ...], plan: Plan | None
) -> ForkMission:
    return ForkMission(
        id=uuid7(),
        tenant=client.settings.tenant,
        mission=token(wish.new_id, "mission") if wish.new_id is not None else uuid7(),
        origin=origin.mission,
        at=at,
        changes=changes,
        plan=plan,
        rerun=wish.rerun,
        fresh=wish.fresh,
        objective=wish.objective,
        by="cli",
    )


def number_of(origin: Recording, said: str | None) -> int:
    """The number of an event within its mission. Raises :class:`InvalidInput`."""
    if said is None:
        return len(origin.events)
    by_sequence, text = said.startswith("seq:"), said.removeprefix("seq:")
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"{said!r} is no event", hint="write its number, or seq: and its sequence in the log")
    wanted = int(text)
    number = sum(event.sequence <= wanted for event in origin.events) if by_sequence else wanted
    if not 1 <= number <= len(origin.events):
        hint = f"the events are numbered from 1 to {len(origin.events)}"
        raise InvalidInput(f"there is no event {said}", hint=hint)
    return number


async def _begun(client: Client, handle: MissionHandle, command: ForkMission, wish: ForkWish) -> int:
    if not wish.follow:
        if wish.as_json:
            screen.print_json({"mission": handle.id, "origin": command.origin, "at": command.at})
        else:
            console = screen.out()
            console.print(f"mission {handle.id} [dim]forked from {command.origin}@{command.at}[/]")
            console.print(f"[dim]stig mission show {handle.id}; stig diff {command.origin} {handle.id}[/]")
        return DONE
    from stigmergy.cli.following import Follower
    from stigmergy.cli.run import ending_of, show_end

    follower = Follower(client, handle, quiet=wish.as_json)
    view = await follower.to_the_end(None)
    if wish.as_json:
        screen.print_json(view.model_dump(mode="json"))
    else:
        show_end(view)
    return ending_of(view, interrupted=follower.interrupted)


def show_preview(found: ForkPreview, *, as_json: bool) -> None:
    """Print what would be."""
    if as_json:
        screen.print_json(found.model_dump(mode="json"))
        return
    rows = screen.table("task", "", "why")
    for task in found.tasks:
        rows.add_row(screen.plain(task.task), _FATES[task.fate], short(task.why, 100))
    console = screen.out()
    console.print(f"a fork of {found.origin} at event {found.at:,} [dim](nothing was begun)[/]\n")
    console.print(rows)
    counts = {fate: len(found.named(fate)) for fate in ("reused", "changed", "failed", "runs", "later")}
    told = ", ".join(f"{number} {fate}" for fate, number in counts.items() if number)
    console.print(f"\n{told or 'no tasks'}")
