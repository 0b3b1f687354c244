"""A workflow template: read and checked once, made into plans as often as one likes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from orchestrator.coordination.complexity import Pace, complexity
from orchestrator.coordination.strategy import select
from orchestrator.planning.check import plan_findings
from orchestrator.planning.document import read_document
from orchestrator.planning.findings import Finding, Path, report, suggestion
from orchestrator.planning.inputs import InputSpec, complete, input_findings
from orchestrator.planning.needs import derive_needs
from orchestrator.planning.node import Node
from orchestrator.planning.reader import Reader
from schemas.errors import InvalidWorkflow
from schemas.plan import Plan, Strategy, StrategyName, StrategyWish, TaskSpec


@dataclass(frozen=True, slots=True)
class Template:
    """A workflow that is known to be a task graph.

    Attributes:
        name: what missions call it.
        inputs: what it wants to be told, by name.
        source: what its text was called, for messages.
        wish: which of its strategies it asks for; ``auto`` leaves it to the planner.
    """

    name: str
    title: str
    description: str
    inputs: Mapping[str, InputSpec]
    source: str
    wish: StrategyWish
    _plans: Mapping[StrategyName | None, Plan] = field(repr=False)
    _document: Node = field(repr=False, compare=False)

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that a mission records: those given, and the defaults of those left out.

        Plans refer to inputs by name, hence defaults must reach the mission's state this way. Completing twice changes
        nothing. Raises :class:`InvalidWorkflow` for inputs that are missing, not declared, or of the wrong type.
        """
        report(list(input_findings(self.inputs, inputs)), lambda finding: f"workflow {self.name!r}")
        return complete(self.inputs, inputs)

    def plan(
        self,
        inputs: Mapping[str, Any],
        *,
        known_skills: Collection[str] | None = None,
        strategy: StrategyWish | None = None,
        pace: Pace = lambda _skill: None,
    ) -> Plan:
        """The plan for these inputs; where it has strategies, ``plan.strategy`` says which was chosen and why.

        Args:
            inputs: see :meth:`complete`.
            known_skills: what workers can do; None when that is not known yet, then every skill is accepted.
            strategy: instead of what the template asks for.
            pace: how long attempts of a skill take.

        Raises:
            InvalidWorkflow: the inputs do not fit the declaration, a skill is not known, or there is no such strategy.
        """
        completed = self.complete(inputs)
        plan = self._chosen(completed, strategy, pace)
        if known_skills is not None:
            report(list(_skill_findings(plan, known_skills)), self._place)
        return plan

    @property
    def strategies(self) -> tuple[StrategyName, ...]:
        """The strategies that it has plans for; none if it is one plan."""
        return tuple(name for name in self._plans if name is not None)

    @property
    def skills(self) -> frozenset[str]:
        """All skills that its tasks ask for."""
        return frozenset(task.skill for plan in self._plans.values() for _, task in _all_tasks(plan))

    def _chosen(self, inputs: Mapping[str, Any], said: StrategyWish | None, pace: Pace) -> Plan:
        if None in self._plans:
            if said not in (None, "auto"):
                hint = "it is one plan; give it strategies: see docs/workflows.md"
                raise InvalidWorkflow(f"workflow {self.name!r} has no strategies", hint=hint)
            return self._plans[None]
        plans = {name: plan for name, plan in self._plans.items() if name is not None}
        wish = said or self.wish
        if wish == "auto":
            chosen = select({name: complexity(plan, inputs, pace) for name, plan in plans.items()})
        elif wish not in plans:
            raise InvalidWorkflow(
                f"workflow {self.name!r} has no strategy {wish!r}", hint=f"it has: {', '.join(plans)}"
            )
        else:
            by: Literal["submission", "template"] = "submission" if said else "template"
            chosen = Strategy(name=wish, because=f"the {by} asks for it", chosen=by)
        return plans[chosen.name].model_copy(update={"strategy": chosen})

    def _place(self, finding: Finding) -> str:
        return _place(self.source, self._document, finding)


def load_template(text: str, name: str) -> Template:
    """The template in ``text``, a YAML document of at most 1 MiB; ``name`` is what messages call it, such as its file.

    Raises :class:`InvalidWorkflow`: a line ``<name>:<line>:<column>: <what is wrong>`` for each of the first problems;
    the hint says what would be right.
    """
    document = read_document(text, name)
    reader = Reader()
    draft = reader.read(document)
    report(reader.findings, lambda finding: _place(name, document, finding))
    plans, findings = {}, []
    for strategy, drafted in draft.plans.items():
        plans[strategy] = plan = derive_needs(drafted, draft.inputs)
        found = plan_findings(plan, draft.inputs)
        findings += found if strategy is None else _within(strategy, found, document)
    report(findings, lambda finding: _place(name, document, finding))
    inputs = MappingProxyType(dict(draft.inputs))
    return Template(draft.name, draft.title, draft.description, inputs, name, draft.strategy, plans, document)


def _within(strategy: StrategyName, findings: list[Finding], document: Node) -> list[Finding]:
    """What is wrong with the plan of a strategy, at its place in the document."""
    own = ((document.mapping or {})["strategies"].mapping or {})[strategy].mapping or {}
    return [
        replace(one, path=("strategies", strategy, *one.path)) if not one.path or one.path[0] in own else one
        for one in findings
    ]


def _place(source: str, document: Node, finding: Finding) -> str:
    line, column = document.locate(finding)
    return f"{source}:{line}:{column}"


def _all_tasks(plan: Plan) -> Iterator[tuple[Path, TaskSpec]]:
    for task in plan.tasks:
        yield ("tasks", task.id), task
    for group in plan.groups:
        for task in group.tasks:
            yield ("groups", group.id, "tasks", task.id), task


def _skill_findings(plan: Plan, known: Collection[str]) -> Iterator[Finding]:
    mends: dict[str, str] = {}
    for path, task in _all_tasks(plan):
        if task.skill not in known:
            mend = mends.setdefault(task.skill, suggestion(task.skill, known, "no worker offers any skill"))
            yield Finding((*path, "skill"), f"no worker has the skill {task.skill!r}", mend)
