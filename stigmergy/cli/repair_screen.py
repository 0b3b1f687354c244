"""The report of a repair, on a terminal."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stigmergy.cli.screen import counted, plain, span, table
from stigmergy.cli.sentences import short

if TYPE_CHECKING:
    from rich.console import Console

    from stigmergy.repair_report import RepairReport, SuiteCounts

_MOST_OPEN = 8
_MOST_NOTES = 4
_SEVERITY = {"error": "red", "warning": "yellow", "info": "dim"}


def show(
    report: RepairReport, console: Console, *, name: str, patch: Path | None, folder: Path | None, applied: bool
) -> None:
    """Print the report; ``folder`` is the original, where it is a folder of this machine."""
    console.print(_verdict(report, name))
    console.print(_suites(report))
    for block in (_kept, _refused, _conflicts, _open):
        block(report, console)
    for line in _ending(report, patch, folder, applied=applied):
        console.print(line, soft_wrap=True)  # paths and commands are there to be copied


def _verdict(report: RepairReport, name: str) -> str:
    took = f" [dim]in {span(report.duration_s)}[/]" if report.duration_s is not None else ""
    who = plain(name)
    total = len(report.kept) + len(report.refused)
    match report.verdict:
        case "repaired" if not report.proved:
            return (
                f"[bold yellow]○ {who} mended, and nothing proves it[/]: {counted(report.fixes, 'fix', 'fixes')} in "
                f"{counted(len(report.files), 'file')}, but no test passed before that could break{took}"
            )
        case "repaired":
            fixed = f"{counted(report.fixes, 'fix', 'fixes')} in {counted(len(report.files), 'file')}"
            return (
                f"[bold green]✓ {who} repaired[/]: {fixed}, {len(report.kept)} of {counted(total, 'group')} kept{took}"
            )
        case "nothing_to_do":
            return f"[bold green]✓ nothing to do[/]: no finding in {who} has a fix that is known to be safe{took}"
        case "nothing_kept":
            return f"[bold yellow]○ nothing kept[/]: every group of fixes for {who} was refused{took}"
        case "cancelled":
            return f"[bold]○ cancelled[/]{': ' + short(report.reason) if report.reason else ''}{took}"
        case _:
            reason = short(report.reason, 400) or "no reason is on record"
            return f"[bold red]✗ {who}: the mission failed[/]: {reason}{took}"


def _suites(report: RepairReport) -> str:
    lines = []
    for label, suite in (("before", report.baseline), ("after", report.final)):
        if suite is not None:
            lines.append(f"  tests {label:<7}{_counts(suite)} [dim]{span(suite.duration_s)}, {plain(suite.sandbox)}[/]")
    noted = report.baseline.notes if report.baseline else ()
    lines += [f"  [dim]note: {short(note)}[/]" for note in noted[:_MOST_NOTES]]
    return "\n".join(["", *lines, ""]) if lines else ""


def _counts(suite: SuiteCounts) -> str:
    parts = []
    for name, style in (("passed", "green"), ("failed", "red"), ("error", "red"), ("skipped", "dim")):
        if number := getattr(suite, name):
            label = name if name != "error" else ("error" if number == 1 else "errors")
            parts.append(f"[{style}]{number:,} {label}[/]")
    odd = f"[yellow]{suite.outcome.replace('_', ' ')}[/]"
    if suite.outcome in ("passed", "failed"):
        return ", ".join(parts) or odd
    return ", ".join([odd, *parts])


def _kept(report: RepairReport, console: Console) -> None:
    if not report.kept:
        return
    rows = table("  kept", "files", "fixes", "rules", right=("files", "fixes"))
    for group in report.kept:
        rules = ", ".join(sorted(group.fixes, key=lambda rule: -group.fixes[rule])[:6])
        rows.add_row(
            f"  [green]✓[/] {short(group.title, 70)}",
            str(len(group.files)),
            str(sum(group.fixes.values())),
            plain(rules),
        )
    console.print(rows)
    console.print()


def _refused(report: RepairReport, console: Console) -> None:
    if not report.refused:
        return
    stages = {"fix": "could not be mended", "check": "breaks tests", "integrate": "not with the others"}
    console.print("[dim]  refused[/]")
    for group in report.refused:
        console.print(f"  [red]✗[/] {short(group.title, 70)} [dim]{stages[group.stage]}[/]")
        console.print(f"    [dim]{short(group.reason, 300)}[/]", soft_wrap=True)
    console.print()


def _conflicts(report: RepairReport, console: Console) -> None:
    if not report.conflicts:
        return
    console.print("[dim]  conflicts, made anew on top of the others where that was possible[/]")
    for group in report.conflicts:
        console.print(f"  [yellow]≠[/] {plain(group.id)}: {short(', '.join(group.paths))}", soft_wrap=True)
    console.print()


def _open(report: RepairReport, console: Console) -> None:
    if not report.open_findings:
        return
    console.print(f"[dim]  left for you: {counted(report.open_findings, 'finding')} of {report.findings:,}[/]")
    shown = report.open_examples[:_MOST_OPEN]
    places = [f"{one.path}:{one.line}" for one in shown]
    wide, rule = max(map(len, places), default=0), max((len(one.rule) for one in shown), default=0)
    for one, place in zip(shown, places, strict=True):
        colour = _SEVERITY.get(one.severity, "default")
        text = (
            f"    {plain(place.ljust(wide))}  [{colour}]{plain(one.rule.ljust(rule))}[/{colour}]  {short(one.message)}"
        )
        console.print(text, no_wrap=True, overflow="ellipsis")
    more = report.open_findings - len(shown)
    if more > 0:
        console.print(f"    [dim]… and {more:,} more: stig mission show {report.mission} --json[/]")
    console.print()


def _ending(report: RepairReport, patch: Path | None, folder: Path | None, *, applied: bool) -> Iterator[str]:
    if report.groups_left:
        yield f"  {counted(report.groups_left, 'more group')} did not fit: run it again after this patch"
    if applied:
        yield f"  applied to [bold]{plain(str(folder))}[/]"
    if patch is not None:
        yield f"  patch    [bold]{plain(str(patch))}[/]"
        if folder is not None and not applied:
            where = shlex.quote(os.path.relpath(folder))
            yield f"  [dim]apply    git -C {plain(where)} apply {plain(_seen_from(folder, patch))}[/]"
    yield f"  [dim]mission  {report.mission}[/]"


def _seen_from(folder: Path, patch: Path) -> str:
    """Git's -C changes the directory before the patch is looked for."""
    return shlex.quote(os.path.relpath(patch, folder))
