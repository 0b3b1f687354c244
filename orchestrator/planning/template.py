"""A workflow template: read and checked once, made into plans as often as one likes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from orchestrator.planning.check import plan_findings
from orchestrator.planning.document import read_document
from orchestrator.planning.findings import Finding, Path, report, suggestion
from orchestrator.planning.inputs import InputSpec, complete, input_findings
from orchestrator.planning.members import written
from orchestrator.planning.needs import derive_needs
from orchestrator.planning.node import Node
from orchestrator.planning.reader import Reader
from schemas.plan import Plan, TaskSpec


@dataclass(frozen=True, slots=True)
class Template:
    """A workflow that is known to be a task graph.

    Attributes:
        name: what missions call it.
        inputs: what it wants to be told, by name.
        source: what its text was called, for messages.
    """

    name: str
    title: str
    description: str
    inputs: Mapping[str, InputSpec]
    source: str
    _draft: Plan = field(repr=False)
    _document: Node = field(repr=False, compare=False)

    def complete(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that a mission records: those given, and the defaults of those left out.

        Plans refer to inputs by name, hence defaults must reach the mission's state this way. Completing twice changes
        nothing. Raises :class:`InvalidWorkflow` for inputs that are missing, not declared, or of the wrong type.
        """
        report(list(input_findings(self.inputs, inputs)), lambda finding: f"workflow {self.name!r}")
        return complete(self.inputs, inputs)

    def plan(self, inputs: Mapping[str, Any], *, known_skills: Collection[str] | None = None) -> Plan:
        """The plan for these inputs.

        Args:
            inputs: see :meth:`complete`.
            known_skills: what workers can do; None when that is not known yet, then every skill is accepted.

        Raises:
            InvalidWorkflow: the inputs do not fit the declaration, or a skill is not known.
        """
        self.complete(inputs)
        if known_skills is not None:
            report(list(_skill_findings(self._draft, known_skills)), self._place)
        return self._draft

    @property
    def skills(self) -> frozenset[str]:
        """All skills that its tasks ask for."""
        return frozenset(task.skill for _, task in _all_tasks(self._draft) if task.skill)

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
    plan = derive_needs(draft.plan, draft.inputs)
    report(plan_findings(plan, draft.inputs), lambda finding: _place(name, document, finding))
    inputs = MappingProxyType(dict(draft.inputs))
    return Template(draft.name, draft.title, draft.description, inputs, name, plan, document)


def _place(source: str, document: Node, finding: Finding) -> str:
    line, column = document.locate(finding)
    return f"{source}:{line}:{column}"


def _all_tasks(plan: Plan) -> Iterator[tuple[Path, TaskSpec]]:
    for task in plan.tasks:
        yield ("tasks", written(task)), task
    for group in plan.groups:
        for task in group.tasks:
            yield ("groups", group.id, "tasks", written(task)), task


def _skill_findings(plan: Plan, known: Collection[str]) -> Iterator[Finding]:
    mends: dict[str, str] = {}
    for path, task in _all_tasks(plan):
        if task.skill and task.skill not in known:
            mend = mends.setdefault(task.skill, suggestion(task.skill, known, "no worker offers any skill"))
            yield Finding((*path, "skill"), f"no worker has the skill {task.skill!r}", mend)
