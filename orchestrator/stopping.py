"""Emergency stops on record: commands in, events of the noun ``reflex`` out.

The stop itself does not wait for this: it travels over core NATS from whoever asks. What is recorded here makes it hold
for workers that join later and for managers that start again, and says afterwards who stopped what, when and why.
"""

from __future__ import annotations

from contextlib import suppress

from events.port import Guard, Log, Window
from orchestrator.recording import Recorder
from schemas.commands import ResumeWork, StopWork
from schemas.envelope import NO_MISSION
from schemas.errors import Conflict, LogUnavailable, Refused
from schemas.events.reflex import ReflexResumed, ReflexStopped
from schemas.signals import Stop
from schemas.stops import StopRecord
from schemas.subjects import noun_filter

_TRIES = 20
STOP_EVENTS = noun_filter("reflex", mission=NO_MISSION)
"""The stops of all tenants: one that holds for everybody is recorded where it was asked for."""


class Stopping:
    """Carries out commands about stops."""

    def __init__(self, log: Log, recorder: Recorder) -> None:
        self._log = log
        self._recorder = recorder

    async def carry_out(self, command: StopWork | ResumeWork) -> None:
        """Put it on record. Raises :class:`Refused` where nothing is stopped, :class:`LogUnavailable`.

        A command that comes again does nothing: a lifting would lift stops that were asked for since. So what is
        recorded is compared with the newest record of all stops, or two orchestrators might carry it out at once.
        """
        for _ in range(_TRIES):
            newest = await self._log.newest(STOP_EVENTS)
            record = await read_stops(self._log, last=newest)
            if command.id in record.asked:
                return
            payload = _stopped(command) if isinstance(command, StopWork) else _resumed(command, record)
            event = self._recorder.event(command.tenant, NO_MISSION, payload, command.id, command.id)
            with suppress(Conflict):  # another one was first: read what it said
                await self._log.append([event], guard=Guard(STOP_EVENTS, newest))
                return
        raise LogUnavailable(f"the stops in force change faster than {command.verb!r} can be decided")


async def read_stops(log: Log, *, last: int | None = None) -> StopRecord:
    """The stops in force, from the log; up to a sequence if one is given."""
    record = StopRecord()
    async for event in log.read(Window((STOP_EVENTS,), last=last)):
        record.take(event)
    return record


def within(stop: Stop, scope: ResumeWork) -> bool:
    """Whether lifting everything in the scope lifts this stop."""
    mission = "" if scope.mission == NO_MISSION else scope.mission
    return (
        (scope.everyone or stop.tenant == scope.tenant)
        and mission in ("", stop.mission)
        and scope.worker in ("", stop.worker)
        and scope.agent in ("", stop.agent)
    )


def _resumed(command: ResumeWork, record: StopRecord) -> ReflexResumed:
    lifts = tuple(name for name, stop in record.stops.items() if within(stop, command))
    if not lifts:
        raise Refused("nothing is stopped in this scope", hint="`stig stop --list` shows the stops in force")
    return ReflexResumed(lifts=lifts, reason=command.reason, by=command.by)


def _stopped(command: StopWork) -> ReflexStopped:
    return ReflexStopped(
        stop=command.id,
        tenant="" if command.everyone else command.tenant,
        mission="" if command.mission == NO_MISSION else command.mission,
        worker=command.worker,
        agent=command.agent,
        reason=command.reason,
        by=command.by,
    )
