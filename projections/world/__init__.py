"""The world model: the state of missions, files, tests and workers as of one event, in Redis.

The pure fold (:mod:`~projections.world.fold`) stands alone; the store, the role and the queries are around it.
"""

from projections.world.fold import evolve, fold
from projections.world.state import World

__all__ = ["World", "evolve", "fold"]
