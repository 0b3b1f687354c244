"""Every feature of the simulation, by name: whatever module here has a subclass of :class:`Feature`.

See :mod:`tests.simulation.feature` for how to write one.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.simulation.fates import RATES
from tests.simulation.feature import Feature


def _found() -> dict[str, Feature]:
    features: dict[str, Feature] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Feature) and value is not Feature:
                features[value.name] = value()
    return features


FEATURES = _found()
KNOWN_RATES = {**RATES, **{kind: rate for feature in FEATURES.values() for kind, rate in feature.rates.items()}}
"""Every kind of misfortune there is."""
