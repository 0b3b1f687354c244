"""Where repositories come from: a folder, git, or the package index."""

from workers.sources.fetch import fetch
from workers.sources.source import Source, SourceLimits

__all__ = ["Source", "SourceLimits", "fetch"]
