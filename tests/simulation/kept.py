"""Scenarios as files: a failing one, made small, is kept and played for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.plan import Plan
from tests.simulation.scenario import Scenario, Script, Wish

HISTORIES = Path(__file__).parent / "histories"


def keep(scenario: Scenario, path: Path) -> None:
    """Write a scenario."""
    document = {
        "seed": scenario.seed,
        "orchestrators": scenario.orchestrators,
        "managers": scenario.managers,
        "workers": scenario.workers,
        "rough_s": scenario.rough_s,
        "rates": scenario.rates,
        "features": sorted(scenario.features),
        "far": scenario.far,
        "only": None if scenario.only is None else [list(fate) for fate in sorted(scenario.only)],
        "scripts": [_written(script) for script in scenario.scripts],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def kept(path: Path) -> Scenario:
    """Read a scenario."""
    document = json.loads(path.read_text(encoding="utf-8"))
    only = document.pop("only")
    scripts = tuple(_read(script) for script in document.pop("scripts"))
    fates = None if only is None else frozenset((kind, number) for kind, number in only)
    features = frozenset(document.pop("features", ()))
    return Scenario(**document, only=fates, scripts=scripts, features=features)


def _written(script: Script) -> dict[str, Any]:
    return {
        "tenant": script.tenant,
        "mission": script.mission,
        "submit_at": script.submit_at,
        "inputs": script.inputs,
        "wishes": [[wish.at, wish.verb, wish.about] for wish in script.wishes],
        "plan": script.plan.model_dump(mode="json", exclude_defaults=True),
    }


def _read(script: dict[str, Any]) -> Script:
    return Script(
        tenant=script["tenant"],
        mission=script["mission"],
        submit_at=script["submit_at"],
        inputs=script["inputs"],
        wishes=tuple(Wish(*wish) for wish in script["wishes"]),
        plan=Plan.model_validate(script["plan"]),
    )
