"""What a task requires of the worker that makes it: ``{gpu: true, memory_gb: ">=16", host: build-7, version: ">=2"}``.

Names are those of labels (``stig workers start --label gpu=true``), and two that every worker has: ``host``, and
``version`` of the agent that offers the skill. A value is compared for equality, numbers as numbers; a text that begins
with ``>=``, ``<=``, ``>`` or ``<`` compares numbers. For ``version`` it is a specifier of PEP 440.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from schemas.ids import token

Value = str | bool | int | float
HOST, VERSION = "host", "version"
_COMPARED = re.compile(r"(>=|<=|>|<)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def check_requirements(requires: Mapping[str, Value]) -> None:
    """Raises :class:`ValueError` for a name that can be no label, or a value that compares nothing."""
    for name, value in requires.items():
        token(name, "label")
        if name == VERSION:
            try:
                SpecifierSet(_specifier(value))
            except InvalidSpecifier as error:
                raise ValueError(f"version: {value!r} is no version or specifier such as '>=2'") from error
        elif isinstance(value, str) and value[:1] in "<>" and _COMPARED.fullmatch(value) is None:
            raise ValueError(f"{name}: {value!r} compares no number; write for instance '>=16'")


def unmet(requires: Mapping[str, Value], labels: Mapping[str, str], host: str, version: str) -> str | None:
    """The first requirement that a worker does not fulfil, as ``name=value``; None if it fulfils all.

    Args:
        version: of the agent that offers the skill there.
    """
    for name in sorted(requires):
        value = requires[name]
        if name == VERSION:
            met = _fits_version(value, version)
        else:
            label = host if name == HOST else labels.get(name)
            met = label is not None and _fits(value, label)
        if not met:
            return spelled({name: value})
    return None


def spelled(requires: Mapping[str, Value]) -> str:
    """For people: ``gpu=true, memory_gb>=16``."""
    parts = []
    for name in sorted(requires):
        value = requires[name]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(f"{name}{text}" if text[:1] in "<>!~" or text[:2] == "==" else f"{name}={text}")
    return ", ".join(parts)


THREADS = "threads"
"""The kind of pool in which nobody can tell whose memory it is."""


def profile(
    host: str,
    labels: Mapping[str, str],
    versions: Mapping[str, str],
    deprecated: Iterable[str] = (),
    *,
    kind: str = "",
) -> str:
    """What workers have in common that fulfil the same requirements: a token of 12 characters.

    Args:
        versions: of the agents behind the skills, where they are not 1.
        deprecated: skills that the agents would rather not do any more; they are asked last.
        kind: of the pool: threads cannot hold what processes can.
    """
    what: list[Any] = [host, sorted(labels.items()), sorted(versions.items())]
    if old := sorted(deprecated):
        what.append(old)
    if kind == THREADS:
        what.append(kind)
    text = json.dumps(what, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def queue_of(skill: str, of_profile: str = "") -> str:
    """The Celery queue of a skill: for everybody who has it, or for the workers of one profile."""
    return f"stig.{skill}@{of_profile}" if of_profile else f"stig.{skill}"


def _fits(value: Value, label: str) -> bool:
    if isinstance(value, bool):
        return label.lower() == str(value).lower()
    if isinstance(value, int | float):
        return _number(label) == value
    compared = _COMPARED.fullmatch(value)
    if compared is None:
        return label == value
    number = _number(label)
    return number is not None and _OPERATORS[compared[1]](number, float(compared[2]))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _fits_version(value: Value, version: str) -> bool:
    try:
        return Version(version) in SpecifierSet(_specifier(value), prereleases=True)
    except InvalidVersion:
        return False


def _specifier(value: Value) -> str:
    text = str(value)
    return text if text[:1] in "<>=!~" else f"=={text}"
