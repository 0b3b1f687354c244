"""What is wrong with a plan or a template, collected before it is reported, so that one look mends several things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from orchestrator.core.references import listed
from schemas.errors import InvalidWorkflow

type Path = tuple[str | int, ...]

REPORTED = 20
ENOUGH = 100
"""Checks stop looking about here: each finding costs a search for what could have been meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: where, in the words of a template: ``("tasks", "fix", "needs", 0)``; ids stand in for positions in lists.
        message: what is wrong.
        mend: what would be right; may be empty.
        at_key: whether the name of the place is at fault, not its value.
    """

    path: Path
    message: str
    mend: str = ""
    at_key: bool = False


def report(findings: Sequence[Finding], place: Callable[[Finding], str]) -> None:
    """Raise one :class:`InvalidWorkflow` for all findings (the first :data:`REPORTED` in words), if there are any."""
    findings = list(dict.fromkeys(findings))
    if not findings:
        return
    shown = [(place(finding), finding) for finding in findings[:REPORTED]]
    lines = [f"{where}: {finding.message}" for where, finding in shown]
    if len(findings) > REPORTED:
        lines.append(f"and {len(findings) - REPORTED} more")
    mends = [(where, finding.mend) for where, finding in shown if finding.mend]
    hint = mends[0][1] if len(findings) == 1 and mends else "\n".join(f"{where}: {mend}" for where, mend in mends)
    raise InvalidWorkflow("\n".join(lines), hint=hint)


def suggestion(wrong: str, right: Iterable[str], otherwise: str = "") -> str:
    """``did you mean 'x'?``, or the names there are, or ``otherwise`` when there are none."""
    names = sorted(right)
    # A linear search by similarity over ten thousand names, for each of many misspelt ones, would take minutes.
    near = get_close_matches(wrong, names[:500], 1, 0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {listed(names)}" if names else otherwise
