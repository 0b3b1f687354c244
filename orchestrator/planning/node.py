"""A value of a document that knows its line and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.planning.findings import Finding

type Scalar = str | int | float | bool | None
type Mark = tuple[int, int]


@dataclass(slots=True)
class Node:
    """One value and where it begins.

    Attributes:
        mark: line and column, from 1.
        keys: where the keys of a mapping stand.
        size: how many values it is, aliases expanded; ``height``: how deep they nest.
    """

    value: Scalar | list[Node] | dict[str, Node]
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    size: int = 1
    height: int = 1

    @property
    def plain(self) -> Any:
        """The value without positions: what a JSON parser would give."""
        if isinstance(self.value, dict):
            return {key: inner.plain for key, inner in self.value.items()}
        return [inner.plain for inner in self.value] if isinstance(self.value, list) else self.value

    @property
    def mapping(self) -> dict[str, Node] | None:
        """The entries of a mapping, None for anything else."""
        return self.value if isinstance(self.value, dict) else None

    def locate(self, finding: Finding) -> Mark:
        """The place nearest to the finding's path that is written in the document."""
        node = self
        for depth, step in enumerate(finding.path, 1):
            if isinstance(node.value, dict) and step in node.value:
                if finding.at_key and depth == len(finding.path):
                    return node.keys[str(step)]
                node = node.value[str(step)]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                break
        return node.mark
