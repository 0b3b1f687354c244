"""``stig workers skills``: which skills there are, and how good each agent is at them."""

from __future__ import annotations

import asyncio
import time
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

    Read from the log: success is what the system confirmed, not what an agent said. EXPECTED weighs what is old less,
    half after two days; P50 and P95 are of the newest 64 attempts; COST is money if any is known, else tokens or time.

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
    numbers = ("attempts", "success", "expected", "lost", "violated", "p50", "p95", "cost")
    table = screen.table("skill", "agent", "versions", *numbers, "", right=numbers)
    for row in rows:
        rate = row["success_rate"]
        table.add_row(
            row["skill"],
            row["agent"],
            ", ".join(row["versions"]),
            str(row["attempts"]),
            "" if rate is None else f"{rate:.1%}",
            "" if rate is None else f"{row['expected_rate']:.0%}",
            str(row["lost"]),
            str(row["violated"]),
            "" if row["p50_s"] is None else screen.span(row["p50_s"]),
            "" if row["p95_s"] is None else screen.span(row["p95_s"]),
            _cost(row),
            _remark(row),
        )
    screen.out().print(table)


def _cost(row: dict[str, Any]) -> str:
    """What an attempt costs in the mean: money if any is known, else tokens, else seconds."""
    if row["mean_s"] is None:
        return ""
    if row["mean_usd"]:
        return f"${row['mean_usd']:.4f}"
    return f"{row['mean_tokens']:,.0f} tokens" if row["mean_tokens"] else screen.span(row["mean_s"])


def _remark(row: dict[str, Any]) -> str:
    return (
        f"[yellow]deprecated: {screen.plain(row['deprecated'])}[/]" if row["deprecated"] else "learned" * row["learned"]
    )


async def _read(days: float) -> Quality:
    from datetime import UTC, datetime, timedelta

    from events.port import Window
    from projections.registry.quality import NOUNS, Quality
    from schemas.envelope import moment_of
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
            quality.take(payload, event.tenant, event.mission, moment_of(event).timestamp())
    return quality


def _rows(quality: Quality) -> list[dict[str, Any]]:
    from projections.registry.tally import Tally

    rows, now = [], time.time()
    for skill in quality.skills():
        agents = sorted({agent for name, agent in (*quality.agents, *quality.cards) if name == skill})
        for agent in agents or [""]:
            tally = quality.agents.get((skill, agent), Tally())
            card = quality.cards.get((skill, agent))
            rows.append(
                {
                    "skill": skill,
                    "agent": agent,
                    "versions": sorted(quality.versions.get(skill, {})),
                    "attempts": tally.attempts,
                    "success_rate": tally.success_rate,
                    "expected_rate": round(tally.expected_rate(now), 4),
                    "lost": tally.lost,
                    "violated": tally.violated,
                    "mean_s": tally.mean_s,
                    "p50_s": tally.took(0.5),
                    "p95_s": tally.took(0.95),
                    "mean_tokens": round(tally.mean_tokens, 1),
                    "mean_usd": round(tally.mean_usd, 6),
                    "deprecated": card.deprecated if card else "",
                    "learned": card.learned if card else False,
                }
            )
    return rows
