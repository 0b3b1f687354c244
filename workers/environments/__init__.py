"""Python environments for repositories: what they declare, read without running them, installed once and kept."""

from workers.environments.environment import Environment
from workers.environments.store import EnvironmentStore

__all__ = ["Environment", "EnvironmentStore"]
