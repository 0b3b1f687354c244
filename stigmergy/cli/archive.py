"""``stig archive``: look after the archive that ``stig serve archive`` writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stigmergy.cli import screen
from stigmergy.cli.options import Json, MissionId

if TYPE_CHECKING:
    from projections.archive.checking import Report
    from projections.archive.collecting import Collection
    from projections.archive.places import Place
    from projections.archive.repairing import Repaired
    from projections.archive.retention import Outcome
    from projections.archive.summary import Summary

app = typer.Typer(
    help="Look after the archive: numbers, proof, mending, merging, restoring.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def status(as_json: Json = False) -> None:
    """Show what the archive holds, and how far it is behind the log if the log answers.

    \b
    Examples:
      stig archive status
      STIGMERGY_ARCHIVE_URL=s3://bucket/events stig archive status --json
    """
    from dataclasses import asdict

    from projections.archive.summary import summary

    found = summary(_place())
    log_end = asyncio.run(_log_end())
    lag = None if log_end is None else log_end - found.end
    if as_json:
        numbers = {"bytes_per_event": round(found.bytes_per_event, 1), "log_end": log_end, "lag": lag}
        screen.print_json({**asdict(found), **numbers})
        return
    _show(found, lag)


@app.command()
def verify(
    against_log: Annotated[bool, typer.Option("--log/--no-log", help="Compare with the log, event by event.")] = True,
    as_json: Json = False,
) -> None:
    """Prove that the archive has no gap, that its files are as written, and that it equals the log.

    Exit code 1 if it is not so; what differs is told exactly.

    \b
    Examples:
      stig archive verify
      stig archive verify --no-log
    """
    from dataclasses import asdict

    from stigmergy.cli.endings import FAILED

    report = asyncio.run(_verified(_place(), against_log))
    if as_json:
        screen.print_json({**asdict(report), "sound": report.sound})
    else:
        _tell(report, against_log)
    if not report.sound:
        raise typer.Exit(FAILED)


@app.command()
def restore(as_json: Json = False) -> None:
    """Fill an EMPTY log from the archive. Start NATS alone, and the roles only afterwards.

    Events keep their ids, their order and their sequences.

    \b
    Example:
      STIGMERGY_NATS_URL=nats://new.example:4222 stig archive restore
    """
    from dataclasses import asdict

    place = _place()

    async def put_back() -> dict[str, Any]:
        from projections.archive.gaps import JetStreamGaps
        from projections.archive.restoring import restore as put_all_back
        from stigmergy.client import Client

        async with Client(name="restore") as client:
            return asdict(await put_all_back(place, client.bus.log, JetStreamGaps(client.bus.nc)))

    done = asyncio.run(put_back())
    if as_json:
        screen.print_json(done)
        return
    typer.echo(f"restored {screen.counted(done['events'], 'event')}; the log ends at {done['end']}")
    typer.echo(f"put back {screen.counted(done['blobs'], 'blob')}")
    for sequence, reason in done["left_out"]:
        typer.echo(f"left out: {sequence}: {reason}", err=True)


@app.command()
def repair(
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on behind events that neither archive nor log has any more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take what is damaged or missing from the log again, as far as the log still has it. The writer may go on.

    Exit code 1 if something stays damaged; it is named.

    \b
    Examples:
      stig archive repair
      stig archive repair --json
    """
    from dataclasses import asdict

    from stigmergy.cli.endings import FAILED

    done = asyncio.run(_repaired(_place(), accept_loss))
    if as_json:
        screen.print_json(asdict(done))
    else:
        for first, last in done.made:
            typer.echo(f"taken from the log again: {first:,} to {last:,}")
        for path in done.aside:
            typer.echo(f"set aside: {path}; `stig serve archive` takes its events from the log again")
        for line in done.lost:
            typer.echo(f"cannot be mended: {line}")
        if not (done.made or done.aside or done.lost):
            typer.echo("nothing was damaged")
    if done.lost:
        raise typer.Exit(FAILED)


@app.command()
def retention(
    forget: Annotated[
        str | None, typer.Option(metavar="NAME", help="No longer wait for a read model that is gone for good.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what may be dropped from the stream by STIGMERGY_EVENTS_MAX_AGE and _MAX_BYTES, and who needs what.

    Nothing is dropped here: `stig serve archive` does it. Where NATS has users, it needs `archive` or `operator`.

    \b
    Examples:
      STIGMERGY_EVENTS_MAX_AGE=30d stig archive retention
      stig archive retention --forget analytics
    """
    from dataclasses import asdict

    from projections.archive.retention import forget as forget_mark
    from schemas.errors import InvalidInput

    if forget is not None and not forget_mark(_place(), forget):
        raise InvalidInput(f"the archive waits for no read model {forget!r}", hint="stig archive retention")
    found = asyncio.run(_retained())
    if as_json:
        screen.print_json({**asdict(found), "held_by": found.held_by})
        return
    typer.echo(f"the stream begins at {found.first:,}; the policy would have it begin at {found.wanted:,}")
    for name, need in sorted(found.holds.items(), key=lambda pair: pair[1]):
        typer.echo(f"  {name} needs {need:,} and what follows" + (", and holds it" if name == found.held_by else ""))


@app.command()
def blobs(as_json: Json = False) -> None:
    """Show how many blobs the server keeps and the archive has, and what STIGMERGY_BLOBS_MAX_AGE would let go.

    Nothing is removed here: `stig serve archive` does it. Where NATS has users, it needs `archive` or `operator`.

    \b
    Examples:
      stig archive blobs
      STIGMERGY_BLOBS_MAX_AGE=30d stig archive blobs --json
    """
    from dataclasses import asdict

    from projections.archive.blobs import BlobCopies

    copies = list(BlobCopies(_place()).all())
    size = sum(one.size for one in copies)
    found = asyncio.run(_collected())
    if as_json:
        screen.print_json({**asdict(found), "archived": len(copies), "archived_bytes": size})
        return
    typer.echo(f"in the archive: {screen.counted(len(copies), 'blob')}, {screen.size(size)}")
    typer.echo(f"on the server: {screen.counted(found.blobs, 'blob')}, {screen.size(found.bytes)}")
    typer.echo(f"  older than the policy wants: {found.old:,}; named by what the server keeps: {found.needed:,}")
    typer.echo(f"  may go: {found.removed:,}, {screen.size(found.freed)}")
    if found.leftovers:
        typer.echo(f"  pieces without a name: {found.leftovers:,}")
    if found.uncopied:
        typer.echo(f"  not in the archive yet: {found.uncopied:,}")


@app.command("put-back")
def put_back(mission: MissionId, as_json: Json = False) -> None:
    """Give the server the blobs that a mission's events name: workspaces that were collected, to look at again.

    `stig fork` does this by itself.

    \b
    Example:
      stig archive put-back 0193a7
    """
    done, nowhere = asyncio.run(_returned(mission))
    if as_json:
        screen.print_json({"put_back": done, "nowhere": nowhere})
        return
    typer.echo(f"put back {screen.counted(len(done), 'blob')}")
    for digest in nowhere:
        typer.echo(f"neither here nor there, or no blob: {digest}", err=True)


@app.command()
def compact(as_json: Json = False) -> None:
    """Merge the small files of days that are over. May run while the archive is written, and be killed at any moment.

    \b
    Example:
      stig archive compact
    """
    from dataclasses import asdict

    place = _place()
    from projections.archive.compacting import compact as merge
    from projections.archive.sweeping import sweep

    merged, swept = merge(place), sweep(place)
    if as_json:
        screen.print_json({**asdict(merged), "swept": swept})
        return
    for name, (before, after) in (("commits", merged.commits), ("files", merged.files), ("bytes", merged.bytes)):
        typer.echo(f"{name}: {before:,} before, {after:,} after")
    if swept:
        typer.echo(f"removed {screen.counted(len(swept), 'leftover')}")


def _place() -> Place:
    from stigmergy.archiving import archive_place
    from stigmergy.settings import Settings

    return archive_place(Settings())


async def _log_end() -> int | None:
    from schemas.errors import Unavailable
    from stigmergy.client import Client

    try:
        async with Client(name="archive") as client:
            return await client.bus.log.last_sequence()
    except Unavailable:
        return None


async def _verified(place: Place, against_log: bool) -> Report:
    from projections.archive.checking import verify as prove

    if not against_log:
        return await prove(place, None)
    from stigmergy.client import Client

    async with Client(name="archive") as client:
        return await prove(place, client.bus.log)


async def _repaired(place: Place, accept_loss: bool) -> Repaired:
    from projections.archive.repairing import repair as mend
    from stigmergy.client import Client

    async with Client(name="archive") as client:
        return await mend(place, client.bus.log, accept_loss=accept_loss)


async def _retained() -> Outcome:
    from stigmergy.archiving import make_retention
    from stigmergy.client import Client
    from stigmergy.settings import Settings

    settings = Settings()
    async with Client(settings, name="archive") as client:
        return await make_retention(client.bus, settings, _place()).look()


async def _collected() -> Collection:
    from stigmergy.archiving import make_collector
    from stigmergy.client import Client
    from stigmergy.settings import Settings

    settings = Settings()
    async with Client(settings, name="archive") as client:
        return await make_collector(client.bus, _place(), settings.blobs_max_age or 0.0).look()


async def _returned(mission: str) -> tuple[list[str], list[str]]:
    from projections.archive.blobs import BlobCopies, digests_in
    from projections.archive.blobs import put_back as give_back
    from stigmergy.cli.recordings import recording
    from stigmergy.client import Client

    async with Client(name="archive") as client:
        found = await recording(client, mission)
        named = set().union(*(digests_in(event.data) for event in found.events))
        return await give_back(BlobCopies(_place()), client.bus.log.blobs, sorted(named))


def _show(found: Summary, lag: int | None) -> None:
    behind = "the log does not answer" if lag is None else f"{screen.counted(lag, 'message')} behind the log"
    typer.echo(f"{found.place}: sequences 1 to {found.end:,}, {behind}")
    volume = f"{screen.size(found.bytes)}, {found.bytes_per_event:.1f} bytes an event"
    typer.echo(f"{screen.counted(found.events, 'event')} in {screen.counted(found.files, 'file')}, {volume}")
    typer.echo(f"{screen.counted(found.ranges, 'commit')}, {screen.counted(found.leftovers, 'leftover')}")
    typer.echo(f"{screen.counted(found.blobs, 'blob')}, {screen.size(found.blob_bytes)}")
    if found.gap is not None:
        typer.echo(f"a gap: {found.gap[0]} to {found.gap[1]}; `stig serve archive` fills it from the log", err=True)
    for first, last in found.absent:
        typer.echo(f"never in this archive: {first:,} to {last:,}; the log no longer had them", err=True)
    table = screen.table("tenant", "day", "files", "events", "size", right=("files", "events", "size"))
    for day in found.days:
        table.add_row(screen.plain(day.tenant), day.date, f"{day.files:,}", f"{day.events:,}", screen.size(day.bytes))
    screen.out().print(table)


def _tell(report: Report, against_log: bool) -> None:
    for problem in report.problems:
        typer.echo(problem)
    verdict = "sound" if report.sound else screen.counted(len(report.problems), "problem")
    held = f"{screen.counted(report.events, 'event')} in {screen.counted(report.files, 'file')}"
    held += f", {screen.counted(report.blobs, 'blob')}" if report.blobs else ""
    typer.echo(f"{verdict}: sequences 1 to {report.end:,} in {screen.counted(report.commits, 'commit')}, {held}")
    if not against_log:
        typer.echo("not compared with the log")
    elif report.compared_from:
        typer.echo(f"{report.compared:,} compared with the log from {report.compared_from:,} on: {report.checksum}")
    else:
        typer.echo("the log has none of them, so that nothing was compared")
