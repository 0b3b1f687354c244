"""``stig workers skills``: which skills there are, and how good each agent is at them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json

if TYPE_CHECKING:
    from projections.registry.quality import Quality


def skills(
    days: Annotated[float, typer.Option(min=0.001, help="How far back attempts count.")] = 7.0, as_json: Json = False
) -> None:
    """Show the skills of the fleet: their versions, and how often and how quickly each agent succeeds at them.

    Read from the log: success is what the system confirmed, not what an agent said.

    \b
    Examples:
      stig workers skills
      stig workers skills --days 1 --json
    """
    rows = _rows(asyncio.run(_read(days)))
    if as_json:
        screen.print_json(rows)
        return
    if not rows:
        screen.out().print("no skills are known; [bold]stig workers start[/] brings some")
        return
    numbers = ("attempts", "success", "lost", "violated", "mean")
    table = screen.table("skill", "agent", "versions", *numbers, right=numbers)
    for row in rows:
        rate, mean = row["success_rate"], row["mean_s"]
        table.add_row(
            row["skill"],
            row["agent"],
            ", ".join(row["versions"]),
            str(row["attempts"]),
            "" if rate is None else f"{rate:.1%}",
            str(row["lost"]),
            str(row["violated"]),
            "" if mean is None else screen.span(mean),
        )
    screen.out().print(table)


async def _read(days: float) -> Quality:
    from datetime import UTC, datetime, timedelta

    from events.port import Window
    from projections.registry.quality import NOUNS, Quality
    from schemas.errors import InvalidEvent
    from schemas.events import parse
    from schemas.subjects import noun_filter
    from stigmergy.client import Client

    quality = Quality()
    async with Client(name="cli") as client:
        filters = tuple(noun_filter(noun, tenant=client.settings.tenant) for noun in NOUNS)
        since = datetime.now(UTC) - timedelta(days=days)
        async for event in client.bus.log.read(Window(filters, since=since)):
            try:
                payload = parse(event)
            except InvalidEvent:
                continue  # of a release that knows more types; it is no part of these numbers
            quality.take(payload, event.tenant, event.mission)
    return quality


def _rows(quality: Quality) -> list[dict[str, Any]]:
    rows = []
    for skill in quality.skills():
        agents = sorted(agent for name, agent in quality.agents if name == skill)
        for agent in agents or [""]:
            tally = quality.agents.get((skill, agent))
            rows.append(
                {
                    "skill": skill,
                    "agent": agent,
                    "versions": sorted(quality.versions.get(skill, {})),
                    "attempts": tally.attempts if tally else 0,
                    "success_rate": tally.success_rate if tally else None,
                    "lost": tally.lost if tally else 0,
                    "violated": tally.violated if tally else 0,
                    "mean_s": tally.mean_s if tally else None,
                }
            )
    return rows
