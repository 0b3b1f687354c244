"""Which kinds of workers were weighed when an attempt was given to one of them: what speaks for each, in points."""

from __future__ import annotations

from pydantic import Field

from schemas.shape import Shape


class Candidate(Shape):
    """The workers of one profile, as the allocator saw them when it decided."""

    profile: str
    host: str = ""
    workers: int = 1
    points: float = Field(description="the sum of the terms; the highest is chosen")
    terms: dict[str, float] = Field(default_factory=dict, description="load, warm, quality, cost, speed: see fleet.md")
