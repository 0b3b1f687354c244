"""Recorded events as a film: where they come from, how fast they pass, where one stands. Reads only; effects never run.

The exception is :mod:`events.replay.copies`, which puts copies under other names where somebody asks for it.
"""

from events.replay.about import About, Registrar
from events.replay.choice import Choice
from events.replay.cursor import Cursor
from events.replay.joined import History, JoinedSource, LogSource, MissionSource
from events.replay.pace import Pace, parse_speed
from events.replay.slices import Slice, slice_of
from events.replay.source import EventSource, HistoryFile

__all__ = [
    "About",
    "Choice",
    "Cursor",
    "EventSource",
    "History",
    "HistoryFile",
    "JoinedSource",
    "LogSource",
    "MissionSource",
    "Pace",
    "Registrar",
    "Slice",
    "parse_speed",
    "slice_of",
]
