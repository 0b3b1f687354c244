"""The event loop of our processes: uvloop where it is there."""

from __future__ import annotations

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A fresh loop, the quickest that is installed."""
    try:
        import uvloop  # not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
