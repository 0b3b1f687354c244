"""The task graphs that both sides run: no-op tasks, known by name, each with the tasks it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

JOIN = "join"


@dataclass(frozen=True)
class Shape:
    """One task graph. ``needs`` holds every task, in an order in which they could run one after another.

    Attributes:
        kind: how a side may express it: ``fan-out``, ``join``, ``chain`` or ``layers``.
    """

    name: str
    kind: str
    title: str
    needs: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.needs)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.needs)

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The tasks that need none."""
        return tuple(task for task, needs in self.needs.items() if not needs)

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """For every task, those that need it."""
        found: dict[str, list[str]] = {task: [] for task in self.needs}
        for task, needs in self.needs.items():
            for need in needs:
                found[need].append(task)
        return {task: tuple(after) for task, after in found.items()}


def fan_out(width: int) -> Shape:
    """``width`` tasks that need nothing; done when all are."""
    needs: dict[str, tuple[str, ...]] = {f"t{i}": () for i in range(width)}
    return Shape("fan-out", "fan-out", f"fan-out of {width}", needs)


def fan_out_join(width: int) -> Shape:
    """``width`` tasks, and one that needs them all."""
    needs = {**fan_out(width).needs, JOIN: tuple(f"t{i}" for i in range(width))}
    return Shape("fan-out-join", "join", f"fan-out of {width} and a join", needs)


def chain(length: int) -> Shape:
    """``length`` tasks, each needs the one before it."""
    needs: dict[str, tuple[str, ...]] = {f"t{i}": (f"t{i - 1}",) if i else () for i in range(length)}
    return Shape("chain", "chain", f"chain of {length}", needs)


def layered(layers: int, width: int, fan_in: int | None = None) -> Shape:
    """``layers`` × ``width`` tasks; each needs ``fan_in`` neighbours in the layer before, or all of it."""
    reach = width if fan_in is None else min(fan_in, width)
    needs: dict[str, tuple[str, ...]] = {}
    for layer in range(layers):
        for place in range(width):
            before = sorted((place + step) % width for step in range(reach))
            needs[f"t{layer}-{place}"] = tuple(f"t{layer - 1}-{i}" for i in before) if layer else ()
    each = "all" if fan_in is None else str(fan_in)
    return Shape(f"layers-{each}", "layers", f"{layers} layers of {width}, each needs {each}", needs)


def all_shapes(*, fan: int, length: int, layers: int, width: int) -> tuple[Shape, ...]:
    """Every shape that is measured, in the order of the report."""
    return (
        fan_out(fan),
        fan_out_join(fan),
        chain(length),
        layered(layers, width, 2),
        layered(layers, width),
    )
