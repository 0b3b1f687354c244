"""The roles of one process that decide follow the log with one reader between them."""

from __future__ import annotations

from dataclasses import replace

from events.jetstream.quick_client import QuickClient
from events.sharing import SharedLog
from stigmergy.wiring import Bus


def with_one_reader(bus: Bus) -> Bus:
    """The bus for a process that hosts deciding roles: they follow the log with one reader between them."""
    from orchestrator.recording import filters_for
    from orchestrator.service import MissionRules
    from orchestrator.task_queue.rules import DispatchRules

    subjects = dict.fromkeys((*MissionRules.subjects, *DispatchRules.subjects))
    send = bus.nc.write_out if isinstance(bus.nc, QuickClient) else lambda: None
    return replace(bus, shared=SharedLog(bus.log, filters_for(subjects), send))
