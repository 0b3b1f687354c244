"""From a document to a plan: every key known, every value of its type. Whether it is a graph is judged elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast, get_args

from pydantic import ValidationError

from orchestrator.core.references import sole_reference
from orchestrator.planning.fields import NAME, Key
from orchestrator.planning.findings import Path, suggestion
from orchestrator.planning.inputs import InputSpec, describe, fits, type_finding
from orchestrator.planning.node import Node
from orchestrator.planning.settled import SettledReader
from orchestrator.planning.shorthand import duration, expectation
from schemas.barriers import Barrier
from schemas.budgets import UNITS, Budget
from schemas.errors import InvalidWorkflow
from schemas.events.registry import explain
from schemas.handoff import HandOffRule
from schemas.plan import (
    GoalSpec,
    Group,
    Plan,
    Prefer,
    RecoveryRule,
    RetryPolicy,
    RetryRule,
    StrategyName,
    StrategyWish,
    TaskSpec,
)
from schemas.safety import Safety


def _duration(node: Node) -> float:
    return duration(node.plain)


def _spelt_out(node: Node, key: str) -> Node:
    """A number that stands for a mapping with this one key, as that mapping; anything else as it is."""
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return Node({key: node}, node.mark, {key: node.mark})
    return node


def _names(node: Node) -> Any:
    plain = node.plain
    return (plain,) if isinstance(plain, str) else tuple(plain) if isinstance(plain, list) else plain


def _paths(node: Node) -> Any:
    """Patterns, or the one reference that stands for a list of them."""
    plain = node.plain
    return plain if isinstance(plain, str) and sole_reference(plain) is not None else _names(node)


def _weights(node: Node) -> Any:
    """Weights of ``prefer``; a whole number is one, too."""
    plain = node.plain
    if not isinstance(plain, dict):
        raise InvalidWorkflow("'prefer' is not a mapping", hint="write weights: prefer: {quality: 1, speed: 0.5}")
    try:
        return Prefer.model_validate(plain)
    except ValidationError as error:
        raise InvalidWorkflow(
            f"'prefer': {explain(error)}", hint="weights of quality, cost and speed, 0 to 100"
        ) from error


_TASK: dict[str, Key] = {
    **{name: Key(name) for name in ("skill", "intent", "title", "workspace", "goal", "priority")},
    "inputs": Key("inputs"),
    "requires": Key("requires"),
    "prefer": Key("prefer", _weights),
    "needs": Key("needs", _names),
    "writes": Key("writes", _paths),
    "on_conflict": Key("on_conflict"),
    "timeout": Key("timeout_s", _duration),
}
_NESTED = ("barrier", "expects", "retry", "recover", "hand_off")
_INSTEAD = ("smaller_step", "otherwise")
_BARRIER: dict[str, Key] = {
    **{name: Key(name) for name in ("at_least", "then_at_least", "since", "rest")},
    "until": Key("until_s", _duration),
}
_RETRY: dict[str, Key] = {
    **{name: Key(name) for name in ("max_attempts", "factor", "on_violation")},
    "max_deaths": Key("max_deaths"),
    "delay": Key("delay_s", _duration),
    "max_delay": Key("max_delay_s", _duration),
}
_HAND_OFF: dict[str, Key] = {
    "to": Key("to", _names),
    "most": Key("most"),
    "accept_within": Key("accept_within_s", _duration),
}
_RULE: dict[str, Key] = {
    **{name: Key(name) for name in ("max_attempts", "factor")},
    "delay": Key("delay_s", _duration),
    "max_delay": Key("max_delay_s", _duration),
}
_RECOVERY: dict[str, Key] = {"on": Key("category"), **{name: Key(name) for name in ("do", "times", "skill")}}
_SAFETY: dict[str, Key] = {
    **{name: Key(name, _names) for name in ("forbidden_paths", "forbidden_commands", "forbidden_hosts")},
    **{name: Key(name) for name in ("max_cost_per_minute", "max_violations")},
}
_BUDGET: dict[str, Key] = {unit: Key(unit) for unit in UNITS}
_GOAL: dict[str, Key] = {
    **{name: Key(name) for name in ("title", "parent", "optional", "error_threshold")},
    "deadline": Key("deadline_s", _duration),
}
_GROUP: dict[str, Key] = {
    **{name: Key(name) for name in ("title", "key", "goal", "optional_branches")},
    "for_each": Key("items"),
    "as": Key("variable"),
    "needs": Key("needs", _names),
}
_INPUT: dict[str, Key] = {name: Key(name) for name in ("type", "description", "required", "default")}
_TOP = (
    "workflow",
    "title",
    "description",
    "inputs",
    "deadline",
    "safety",
    "budget",
    "recover",
    "prefer",
    "goals",
    "tasks",
    "groups",
    "result",
    "strategy",
    "strategies",
)
_VARIANT = ("deadline", "goals", "tasks", "groups", "result")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a document says, as far as it can be read. ``plans``: one, under None, or one for each strategy."""

    name: str
    title: str
    description: str
    inputs: Mapping[str, InputSpec]
    plans: Mapping[StrategyName | None, Plan]
    strategy: StrategyWish


class Reader(SettledReader):
    """Reads one document; ``findings`` holds what is wrong with it, and makes the draft worthless unless empty."""

    def read(self, root: Node) -> Draft:
        """The draft of the workflow."""
        top = self.known_keys(root, _TOP, (), "a workflow") or {}
        if "workflow" not in top and not self.findings:
            self.note((), "'workflow' is missing", "name it: workflow: my-workflow")
        name = self.text(top, "workflow")
        if name and not NAME.fullmatch(name):
            self.note(("workflow",), f"{name!r} cannot be a name", "use a letter, then letters, digits, '-' and '_'")
        inputs = {spec.name: spec for spec in self.entries(top, ("inputs",), self._input)}
        title, description = self.text(top, "title"), self.text(top, "description")
        return Draft(name, title, description, inputs, self._plans(top), self._strategy(top))

    def _plans(self, top: dict[str, Node]) -> dict[StrategyName | None, Plan]:
        """The plan of the workflow; or one for each of its strategies, and what they leave out is the workflow's."""
        if "strategies" not in top:
            return {None: self._plan(top, ())}
        for key in ("tasks", "groups"):
            if key in top:
                self.note((key,), f"{key!r} beside 'strategies'", "put it into each of the strategies")
        plans: dict[StrategyName | None, Plan] = {}
        known = self.known_keys(top["strategies"], get_args(StrategyName), ("strategies",), "strategies") or {}
        for name, node in known.items():
            own = self.known_keys(node, _VARIANT, ("strategies", name), f"strategy {name!r}")
            if own is not None:
                plans[cast("StrategyName", name)] = self._plan({**top, **own}, ("strategies", name), own)
        if not plans and not self.findings:
            self.note(("strategies",), "there is no strategy", "name one: hierarchical, peer")
        return plans

    def _plan(self, top: dict[str, Node], where: Path, own: Collection[str] = ()) -> Plan:
        def at(key: str) -> Path:
            return (*where, key) if key in own else (key,)

        return Plan(
            goals=tuple(self.entries(top, at("goals"), self._goal)),
            tasks=tuple(chain.from_iterable(self.entries(top, at("tasks"), self._task))),
            groups=tuple(self.entries(top, at("groups"), self._group)),
            result=self.mapping(top, at("result")),
            deadline_s=self.converted(top["deadline"], _duration, at("deadline")) if "deadline" in top else None,
            recover=self._recover(top["recover"], ("recover",)) if "recover" in top else (),
            safety=self._safety(top["safety"]) if "safety" in top else Safety(),
            budget=self._budget(top["budget"]) if "budget" in top else Budget(),
            prefer=self.converted(top["prefer"], _weights, ("prefer",)) if "prefer" in top else None,
        )

    def _strategy(self, top: dict[str, Node]) -> StrategyWish:
        if "strategy" not in top:
            return "auto"
        wish, offered = self.text(top, "strategy"), top["strategies"].mapping or {} if "strategies" in top else {}
        if wish != "auto" and wish not in offered:
            self.note(("strategy",), f"there is no strategy {wish!r}", suggestion(wish, ("auto", *offered)))
        return cast("StrategyWish", wish)

    def _task(self, id_: str, node: Node, path: Path) -> list[TaskSpec] | None:
        """The task, or the tasks that it is made of."""
        known = [*_TASK, *_NESTED, *_INSTEAD, "vote", "attempts"]
        entries = self.known_keys(node, known, path, f"task {id_!r}")
        if entries is None:
            return None
        several = "vote" in entries or "skills" in (entries["attempts"].mapping or {} if "attempts" in entries else {})
        if "vote" in entries and ("skill" in entries or "attempts" in entries):
            self.note(path, f"{id_!r} is a vote, and nobody executes that", "give the skill to its voters")
            return None
        if "skill" not in entries and not several:
            if len(node.mapping or ()) == len(entries):  # else a misspelt key is what is missing
                self.note(path, f"task {id_!r} has no skill", "say who does it: skill: echo")
            return None
        extra: dict[str, Any] = {"id": id_} if "skill" in entries else {"id": id_, "skill": ""}
        extra |= self._nested(entries, path)
        task = self.made(TaskSpec, entries, _TASK, extra, path)
        if task is not None and "vote" in entries:
            return self.vote(task, entries["vote"], (*path, "vote"))
        if task is not None and "attempts" in entries:
            return self.attempts(task, entries["attempts"], (*path, "attempts"))
        return None if task is None else [task]

    def _nested(self, entries: dict[str, Node], path: Path) -> dict[str, Any]:
        """What is more than a value."""
        readers = (self._barrier, self._expects, self._retry, self._recover, self._hand_off)
        made: dict[str, Any] = {
            key: read(entries[key], (*path, key)) for key, read in zip(_NESTED, readers, strict=True) if key in entries
        }
        for key in _INSTEAD:
            if key in entries:
                made[key] = tuple(self.entries(entries, (*path, key), self._part))
        return made

    def _part(self, id_: str, node: Node, path: Path) -> TaskSpec | None:
        """A task that is done instead of another one."""
        for key in ("goal", "barrier", *_INSTEAD, "vote", "attempts"):
            if key in (node.mapping or {}):
                mend = "it serves the goal of the task it is done for" if key == "goal" else ""
                self.note((*path, key), f"task {id_!r} is done instead of another one, and has no {key!r}", mend)
                return None
        tasks = self._task(id_, node, path)
        return tasks[0] if tasks else None

    def _expects(self, node: Node, path: Path) -> tuple[Any, ...]:
        listed = node.value if isinstance(node.value, list) else [node]
        found = (self.converted(one, lambda n: expectation(n.plain), (*path, at)) for at, one in enumerate(listed))
        return tuple(one for one in found if one is not None)

    def _barrier(self, node: Node, path: Path) -> Barrier | None:
        entries = self.known_keys(_spelt_out(node, "at_least"), _BARRIER, path, "a barrier")
        return None if entries is None else self.made(Barrier, entries, _BARRIER, {}, path)

    def _retry(self, node: Node, path: Path) -> RetryPolicy | None:
        entries = self.known_keys(_spelt_out(node, "max_attempts"), [*_RETRY, "by_error"], path, "retry")
        if entries is None:
            return None
        extra: dict[str, Any] = {}
        if "by_error" in entries:
            extra["by_error"] = self._by_error(entries["by_error"], (*path, "by_error"))
        return self.made(RetryPolicy, entries, _RETRY, extra, path)

    def _hand_off(self, node: Node, path: Path) -> HandOffRule | None:
        if node.mapping is None:  # just the skills
            node = Node({"to": node}, node.mark, {"to": node.mark})
        entries = self.known_keys(node, _HAND_OFF, path, "hand_off")
        return None if entries is None else self.made(HandOffRule, entries, _HAND_OFF, {}, path)

    def _by_error(self, node: Node, path: Path) -> dict[str, RetryRule] | None:
        made: dict[str, RetryRule] = {}
        for code, inner in (self.known_keys(node, list(node.mapping or ()), path, "by_error") or {}).items():
            entries = self.known_keys(_spelt_out(inner, "max_attempts"), _RULE, (*path, code), f"error {code!r}")
            rule = None if entries is None else self.made(RetryRule, entries, _RULE, {}, (*path, code))
            if rule is None:
                return None
            made[code] = rule
        return made

    def _recover(self, node: Node, path: Path) -> tuple[RecoveryRule, ...]:
        listed = node.value if isinstance(node.value, list) else [node]
        rules: list[RecoveryRule] = []
        for number, one in enumerate(listed):
            where = (*path, number)
            entries = self.known_keys(one, _RECOVERY, where, "a recovery rule")
            if entries is not None and "do" not in entries:
                self.note(where, "a recovery rule has no 'do'", "say what to do: do: retry_with_feedback")
            elif entries is not None:
                rule = self.made(RecoveryRule, entries, _RECOVERY, {}, where)
                if rule is not None and (rule.do == "other_agent") is not bool(rule.skill):
                    self.note(where, "other_agent and a skill belong together", "do: other_agent, skill: who-else")
                rules += [] if rule is None else [rule]
        return tuple(rules)

    def _safety(self, node: Node) -> Safety:
        entries = self.known_keys(node, _SAFETY, ("safety",), "safety")
        made = None if entries is None else self.made(Safety, entries, _SAFETY, {}, ("safety",))
        return made or Safety()

    def _budget(self, node: Node) -> Budget:
        entries = self.known_keys(node, _BUDGET, ("budget",), "budget")
        made = None if entries is None else self.made(Budget, entries, _BUDGET, {}, ("budget",))
        return made or Budget()

    def _goal(self, id_: str, node: Node, path: Path) -> GoalSpec | None:
        entries = self.known_keys(node, _GOAL, path, f"goal {id_!r}")
        return None if entries is None else self.made(GoalSpec, entries, _GOAL, {"id": id_}, path)

    def _group(self, id_: str, node: Node, path: Path) -> Group | None:
        entries = self.known_keys(node, [*_GROUP, "barrier", "tasks"], path, f"group {id_!r}")
        if entries is None:
            return None
        if "for_each" not in entries:
            self.note(
                path, f"group {id_!r} has no 'for_each'", 'say what to go through: for_each: "${task.output.list}"'
            )
            return None
        if "as" in entries and not NAME.fullmatch(str(entries["as"].value)):
            self.note((*path, "as"), f"{entries['as'].plain!r} cannot be a name", "write a word: as: item")
        tasks = tuple(chain.from_iterable(self.entries(entries, (*path, "tasks"), self._task)))
        extra: dict[str, Any] = {"id": id_, "tasks": tasks}
        if "barrier" in entries:
            extra["barrier"] = self._barrier(entries["barrier"], (*path, "barrier"))
        return self.made(Group, entries, _GROUP, extra, path)

    def _input(self, name: str, node: Node, path: Path) -> InputSpec | None:
        if isinstance(node.value, str):
            node = Node({"type": node}, node.mark, {"type": node.mark})
        entries = self.known_keys(node, _INPUT, path, f"input {name!r}")
        if entries is None:
            return None
        plain = {key: inner.plain for key, inner in entries.items()}
        type_, mend = plain.get("type", "any"), type_finding(str(plain.get("type", "any")))
        if mend is not None:
            self.note((*path, "type"), f"{type_!r} is no type", mend)
            return None
        required = plain.get("required", "default" not in plain)
        if not isinstance(required, bool):
            self.note((*path, "required"), f"'required' is {describe(required)}", "write true or false")
            return None
        if required and "default" in plain:
            self.note((*path, "required"), f"input {name!r} is required and has a default", "remove one of the two")
        if plain.get("default") is not None and not fits(plain["default"], type_):
            self.note((*path, "default"), f"the default is {describe(plain['default'])}, not of type {type_}")
        return InputSpec(name, type_, str(plain.get("description") or ""), required, plain.get("default"))
