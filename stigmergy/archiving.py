"""What the archive is made of, as the settings say; without pyarrow until somebody needs it."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from events.jetstream.keeping import EventsStream
from events.replay import EventSource, MissionSource
from events.services import NatsServices
from schemas.errors import StigmergyError, ToolMissing
from stigmergy.settings import Settings

if TYPE_CHECKING:
    from orchestrator.recalling import Recordings
    from projections.archive.collecting import Collector
    from projections.archive.history import ArchiveHistory
    from projections.archive.places import Place
    from projections.archive.projection import ArchiveProjection
    from projections.archive.retention import Retention
    from stigmergy.wiring import Bus

_log = logging.getLogger(__name__)


def archive_place(settings: Settings) -> Place:
    """Where the archive is kept.

    Raises:
        ToolMissing: pyarrow is not installed.
        InvalidInput: the URI of the settings is none.
    """
    try:
        from projections.archive.arrow_place import open_place
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ToolMissing("the archive needs pyarrow", hint="pip install 'stigmergy[archive]'") from error
    if settings.archive_url is None:
        return open_place(str(settings.state_dir / "archive"))
    return open_place(settings.archive_url.get_secret_value())


async def open_history(bus: Bus, settings: Settings) -> ArchiveHistory | None:
    """What was archived of the log; None where nothing was, or where nobody asked for an archive and pyarrow lacks.

    Raises:
        InvalidInput: the archive is of another log.
        ArchiveDamaged, ArchiveUnavailable: it cannot be read.
    """
    if settings.archive_url is None and not (settings.state_dir / "archive").is_dir():
        return None
    try:
        place = archive_place(settings)
    except ToolMissing:
        if settings.archive_url is not None:
            raise
        return None
    from projections.archive.commits import manifest
    from projections.archive.following import check_same_log
    from projections.archive.history import ArchiveHistory

    found = await asyncio.to_thread(manifest, place)
    if not found.chain:
        return None
    await check_same_log(bus.log, place, found)
    return ArchiveHistory(place)


def recordings_of(bus: Bus, settings: Settings) -> Recordings:
    """Missions as log and archive have them; an archive that cannot be used now is done without, and said so."""

    async def source(tenant: str, mission: str) -> EventSource:
        try:
            history = await open_history(bus, settings)
        except StigmergyError as error:
            _log.warning("mission %s is read from the log alone: %s (%s)", mission, error, error.hint)
            history = None
        found = MissionSource(bus.log, history, tenant, mission, _log.warning)
        if history is None:
            return found
        from projections.archive.blobs import BlobCopies
        from projections.archive.returning import Returning

        return Returning(found, BlobCopies(archive_place(settings)), bus.log)

    return source


def make_archive(bus: Bus, settings: Settings) -> ArchiveProjection:
    """The role that follows the log into the archive. Raises what :func:`archive_place` raises."""
    place = archive_place(settings)
    from events.blobs.bucket import BlobBucket
    from projections.archive.following import ArchiveRole, Limits
    from projections.archive.mirroring import Mirror
    from projections.archive.nightly import Nightly
    from projections.archive.projection import ArchiveProjection, Beside

    role = ArchiveRole(bus.log, place, Limits(seconds=settings.archive_every_s))
    beside: list[Beside] = [Mirror(BlobBucket(bus.nc), bus.log.blobs, place, every_s=settings.archive_every_s)]
    if settings.archive_compact_at != "never":
        beside.append(Nightly(place, settings.archive_compact_at))
    retention = make_retention(bus, settings, place)
    if not retention.policy.keeps_all:
        beside.append(retention)
    if settings.blobs_max_age is not None:
        beside.append(make_collector(bus, place, settings.blobs_max_age))
    return ArchiveProjection(bus.log, place, role, beside)


def make_retention(bus: Bus, settings: Settings, place: Place) -> Retention:
    """What drops from the stream what is archived, as the settings say."""
    from projections.archive.retention import Policy, Retention

    age = settings.events_max_age
    policy = Policy(None if age is None else timedelta(seconds=age), settings.events_max_bytes)

    async def needed() -> dict[str, int]:
        from stigmergy.read_models import needed_by_read_models

        return await needed_by_read_models(NatsServices(bus.nc), settings.tenant)

    return Retention(bus.log, place, EventsStream(bus.nc), policy, needed)


def make_collector(bus: Bus, place: Place, max_age_s: float) -> Collector:
    """What removes blobs that are archived and needed no more."""
    from events.blobs.bucket import BlobBucket
    from events.jetstream.kept import kept_messages
    from projections.archive.collecting import Collector

    async def server_time() -> datetime:
        return (await EventsStream(bus.nc).size()).newest

    return Collector(
        BlobBucket(bus.nc),
        bus.log.blobs,
        place,
        timedelta(seconds=max_age_s),
        lambda: kept_messages(bus.nc),
        server_time,
    )
