"""Comments by which the authors of a file say "leave this": ``# noqa``, of a line or of a whole file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINE = re.compile(r"#\s*noqa(?P<codes>\s*:\s*[A-Za-z]+[0-9]+(?:[,\s]+[A-Za-z]+[0-9]+)*)?", re.IGNORECASE)
_FILE = re.compile(r"^\s*#\s*(?:ruff|flake8)\s*:\s*noqa\s*$", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z]+[0-9]+")
_EVERYTHING = frozenset({"*"})

# The codes under which other linters know our rules: whoever silenced those has answered ours too.
KNOWN_AS: dict[str, frozenset[str]] = {
    "bare-except": frozenset({"E722", "BLE001"}),
    "complex-function": frozenset({"C901"}),
    "duplicate-key": frozenset({"F601"}),
    "dynamic-code": frozenset({"S102", "S307", "W0122", "W0123"}),
    "missing-timeout": frozenset({"S113"}),
    "mutable-default": frozenset({"B006"}),
    "none-comparison": frozenset({"E711"}),
    "shadowed-builtin": frozenset({"A001", "A002", "W0622"}),
    "swallowed-exception": frozenset({"S110", "S112", "BLE001", "E722"}),
    "tuple-assert": frozenset({"F631"}),
    "unclosed-file": frozenset({"SIM115"}),
    "unreachable-code": frozenset({"W0101"}),
}


@dataclass(frozen=True, slots=True)
class Suppressions:
    """The silenced codes by line; line 0 stands for the whole file, ``*`` for every code."""

    by_line: dict[int, frozenset[str]]

    @classmethod
    def read(cls, lines: Sequence[str]) -> Suppressions:
        found: dict[int, frozenset[str]] = {}
        for number, line in enumerate(lines, start=1):
            if "noqa" not in line.lower():
                continue
            if _FILE.match(line):
                found[0] = _EVERYTHING
            elif match := _LINE.search(line):
                codes = frozenset(code.upper() for code in _CODE.findall(match["codes"] or ""))
                found[number] = codes or _EVERYTHING
        return cls(found)

    def silence(self, rule: str, first: int, last: int | None = None) -> bool:
        """Whether ``rule`` is silenced on the first or the last line of a place."""
        names = KNOWN_AS.get(rule, frozenset()) | {"*"}
        return any(self.by_line.get(line, frozenset()) & names for line in (0, first, last or first))
