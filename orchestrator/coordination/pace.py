"""How long attempts take by skill, as an orchestrator has seen it."""

from __future__ import annotations

from collections import OrderedDict

_SMOOTHING = 0.2
_MOST = 1000


class Pace:
    """Exponential means in seconds; the skills heard of last are kept."""

    def __init__(self) -> None:
        self._mean: OrderedDict[str, float] = OrderedDict()

    def took(self, skill: str, seconds: float) -> None:
        """An attempt of the skill has ended well."""
        known = self._mean.pop(skill, seconds)
        self._mean[skill] = known + _SMOOTHING * (seconds - known)
        if len(self._mean) > _MOST:
            self._mean.popitem(last=False)

    def __call__(self, skill: str) -> float | None:
        """How long the next one takes; None before the first."""
        return self._mean.get(skill)
