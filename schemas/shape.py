"""What all shapes within events, orders and plans have in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A frozen shape that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself, for it never changes: pydantic copies a default wherever it is left out."""
        return self
