"""What ruff says about a repository, with our judgement on which of its fixes may be offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.tools.python_code import ruff_binary
from workers.tools.python_code.parsed import Parsed
from workers.tools.python_code.rule_families import LIFTED


@dataclass(frozen=True, slots=True)
class RuffFinding:
    """One diagnostic; lines and columns from 1. ``fixable``: ruff's fix of it is safe and loses no comment."""

    path: str
    rule: str
    message: str
    line: int
    column: int
    end_line: int
    fixable: bool


def ruff_findings(
    folder: Path, sources: Mapping[str, Parsed], rules: Sequence[str], floor: tuple[int, int]
) -> list[RuffFinding]:
    """Ruff's diagnostics of files that parse, by path and place. Raises as ``ruff_binary.check`` does."""
    return sorted(_read(folder, sources, ruff_binary.check(folder, list(sources), rules, floor)), key=_place)


def _place(finding: RuffFinding) -> tuple[str, int, int, str, str]:
    return finding.path, finding.line, finding.column, finding.rule, finding.message


def _read(folder: Path, sources: Mapping[str, Parsed], diagnostics: Sequence[dict[str, Any]]) -> Iterator[RuffFinding]:
    root = folder.resolve()
    for said in diagnostics:
        rule = said["code"]
        if rule is None or rule == "invalid-syntax":
            continue  # grammar newer than the target; that the files parse was seen before
        path = Path(said["filename"]).resolve().relative_to(root).as_posix()
        yield RuffFinding(
            path=path,
            rule=rule,
            message=said["message"],
            line=max(said["location"]["row"], 1),
            column=max(said["location"]["column"], 1),
            end_line=max(said["end_location"]["row"], said["location"]["row"], 1),
            fixable=_may_offer(said, sources[path].lines),
        )


def _may_offer(said: dict[str, Any], lines: Sequence[str]) -> bool:
    fix = said["fix"]
    if fix is None or fix["applicability"] != "safe":
        return False
    return said["code"] not in LIFTED or not _holds_comment(said, lines)


def _holds_comment(said: dict[str, Any], lines: Sequence[str]) -> bool:
    # A # within a string counts as well: better one fix too few than a comment lost.
    first, last = said["location"]["row"], said["end_location"]["row"]
    return first != last and any("#" in line for line in lines[first - 1 : last])
