"""Whether what has just happened in a mission breaks one of its safety constraints. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from schemas.events import Payload
from schemas.events.attempt import AttemptFinished
from schemas.events.tool import ToolCalled
from schemas.events.world import WorldTripped, WorldViolated, WorldWarned
from schemas.expectations import Violation
from schemas.safety import Safety

SPENT = "llm.completed"
"""The type whose ``cost_usd`` is spending; looked up by name, so that any release's shape of it will do."""
_WINDOW = timedelta(seconds=60)


_NOTHING = Safety()


class Guard(Struct, frozen=True):
    """The constraints of a mission and its budget, and what has to be counted for them.

    Attributes:
        limits: what may be spent in all, by unit; ``total``: what was.
        lately: instants and dollars of the last 60 seconds.
        breach: what was broken and is not on record yet; ``warning``: what is to be said before.
        warned: unit to the limit of which it is on record that most is spent.
        tripped: why what runs is stopped: it is on record, and the mission was not resumed since. Empty if it is not.
            ``trip`` is the id of that event.
    """

    rules: Safety = _NOTHING
    limits: dict[str, float] = field(default_factory=dict)
    total: dict[str, float] = field(default_factory=dict)
    lately: tuple[tuple[datetime, float], ...] = ()
    violations: int = 0
    breach: WorldTripped | None = None
    tripped: str = ""
    trip: str = ""
    warning: WorldWarned | None = None
    warned: dict[str, float] = field(default_factory=dict)


def watch(guard: Guard, payload: Payload, at: datetime) -> Guard:
    """The guard after one more fact."""
    if guard.rules == _NOTHING:
        return guard
    guard = _counted(guard, payload, at)
    if guard.breach is not None or guard.tripped:
        return guard
    breach = _breach(guard, payload)
    return guard if breach is None else replace(guard, breach=breach)


def forbidden(rules: Safety, finished: AttemptFinished) -> tuple[Violation, ...]:
    """What no attempt may do, done by this one: it cannot count, whatever else was expected of it."""
    changes = finished.observation.changes or {}
    broken = {path: rule for path in sorted(changes) if (rule := rules.forbids_path(path))}
    if not broken:
        return ()
    message = f"forbidden change of {', '.join(list(broken)[:3])}"
    return (Violation(kind="safety", message=message, category="unexpected_change", evidence={"paths": broken}),)


def _counted(guard: Guard, payload: Payload, at: datetime) -> Guard:
    if isinstance(payload, WorldViolated):
        return replace(guard, violations=guard.violations + 1)
    if payload.TYPE == SPENT and guard.rules.max_cost_per_minute is not None:
        cost = getattr(payload, "cost_usd", 0.0)
        recent = tuple(one for one in guard.lately if at - one[0] < _WINDOW)
        return replace(guard, lately=(*recent, (at, float(cost))))
    return guard


def _breach(guard: Guard, payload: Payload) -> WorldTripped | None:
    rules = guard.rules
    match payload:
        case AttemptFinished() as event:
            for path in sorted(event.observation.changes or ()):
                if rule := rules.forbids_path(path):
                    evidence: dict[str, Any] = {"path": path, "change": (event.observation.changes or {})[path]}
                    return _tripped(payload, f"forbidden_paths: {rule}", f"{path} was changed", evidence)
        case ToolCalled() as event:
            evidence = {"tool": event.tool, "parameters": event.parameters, "outcome": event.outcome}
            if rule := rules.forbids_command(event.parameters):
                return _tripped(payload, f"forbidden_commands: {rule}", f"{event.tool} was to run {rule}", evidence)
            if rule := rules.forbids_host(event.parameters):
                return _tripped(payload, f"forbidden_hosts: {rule}", f"{event.tool} was to talk to {rule}", evidence)
        case WorldViolated() if rules.max_violations is not None and guard.violations > rules.max_violations:
            bound = rules.max_violations
            message = f"{guard.violations} attempts were violated, at most {bound} may be"
            return _tripped(payload, f"max_violations: {bound}", message, {"violations": guard.violations})
        case _ if payload.TYPE == SPENT and rules.max_cost_per_minute is not None:
            spent = round(sum(cost for _, cost in guard.lately), 6)
            if spent > rules.max_cost_per_minute:
                message = f"{spent:.2f} dollars in a minute, at most {rules.max_cost_per_minute:.2f} may be spent"
                return _tripped(payload, f"max_cost_per_minute: {rules.max_cost_per_minute}", message, {"spent": spent})
    return None


def _tripped(payload: Payload, rule: str, message: str, evidence: dict[str, Any]) -> WorldTripped:
    task, attempt = getattr(payload, "task", ""), getattr(payload, "attempt", 0)
    return WorldTripped(rule=rule, message=message, task=task, attempt=attempt, evidence=evidence)
