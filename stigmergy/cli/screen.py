"""What goes to the terminal: consoles, JSON documents, tables, and how times and sizes are written."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from schemas.envelope import Event

STYLES = {
    "running": "cyan", "executing": "cyan", "ready": "cyan", "started": "cyan", "open": "cyan", "submitted": "cyan",
    "completed": "green", "succeeded": "green", "achieved": "green", "ok": "green",
    "passed": "green",
    "failed": "red", "error": "red", "timeout": "red", "lost": "red", "dead": "red", "fail": "red",
    "draining": "yellow", "retrying": "yellow", "paused": "yellow", "restarting": "yellow", "warn": "yellow",
    "cancelled": "dim", "skipped": "dim", "waiting": "dim", "stopped": "dim", "not hosted": "dim",
    "following": "green", "rebuilding": "cyan", "starting": "cyan", "silent": "yellow",
}  # fmt: skip


def out() -> Console:
    """Standard output, for results. A pipe gets wide lines: a program cuts them better than we do."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 160)


def err() -> Console:
    """Standard error, for progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 160)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_event(event: Event) -> None:
    """One CloudEvent in one line, at once: somebody may be reading along."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without borders; the columns named in ``right`` hold numbers."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="ellipsis", no_wrap=True)
    return made


def status(word: str) -> str:
    """A status with its colour, as rich markup."""
    style = STYLES.get(word, "")
    return f"[{style}]{word}[/]" if style else word


def plain(text: str) -> str:
    """Text from outside, so that brackets in it are no markup and control characters do nothing."""
    from rich.markup import escape

    shown = "".join(c if c.isprintable() else " " for c in text)
    return escape(shown)


def span(seconds: float) -> str:
    """A duration in at most two units: ``40ms``, ``0.4s``, ``12s``, ``3m 05s``, ``2h 07m``, ``3d 4h``."""
    if seconds < 0.095:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600}h"


def ago(moment: datetime | None) -> str:
    """How long ago, for a list."""
    return "" if moment is None else f"{span((datetime.now(UTC) - moment).total_seconds())} ago"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in ("B", "KiB", "MiB") else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def clock(moment: datetime) -> str:
    """Time of day of this machine, to the millisecond."""
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
