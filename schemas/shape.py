"""What all shapes within events, orders and plans have in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A frozen shape that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        # Whatever has its default value has the very same object, and that is asked of each field that is written.
        return self is other or super().__eq__(other)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself, for it never changes: pydantic copies a default wherever it is left out."""
        return self
