"""What an agent returns, as the plain JSON that others will read."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.errors import StigmergyError
from schemas.json_depth import nests_deeper

DEEPEST = 100
"""Half of what readers take, for it will stand within the inputs of other tasks."""


def plain_output(output: Any) -> dict[str, Any]:
    """The output as plain JSON values. Raises :class:`StigmergyError` if it is none, or nests deeper than 100."""
    if output is None:
        return {}
    if not isinstance(output, dict):
        raise StigmergyError(
            f"an agent's output must be a dict or None, not {type(output).__name__}", hint="return {'result': …}"
        )
    try:
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(output))
    except (TypeError, ValueError, RecursionError) as error:
        raise StigmergyError(f"the agent's output is no JSON: {error}") from error
    if nests_deeper(plain, DEEPEST):
        raise StigmergyError(
            f"the agent's output nests deeper than {DEEPEST}", hint="make it flatter, or leave it in the workspace"
        )
    return plain
