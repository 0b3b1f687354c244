"""Counting votes."""

from orchestrator.coordination.voting.counting import Count, count, turnout

__all__ = ["Count", "count", "turnout"]
