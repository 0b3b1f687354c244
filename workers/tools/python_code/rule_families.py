"""What kinds of patches are offered, in the order of their worth to a reader.

A family of kind *ruff* offers what ruff itself calls a safe fix, and the few rules of ``LIFTED``. A family of kind
*codemod* offers what the detector of its rule calls fixable. Import sorting is not among them: it touches every file
and mends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of patch; ``selectors`` are prefixes of ruff's rule codes, or the name of one of our own rules."""

    id: str
    title: str
    kind: Literal["ruff", "codemod"]
    selectors: tuple[str, ...]
    why_safe: str
    oldest_python: tuple[int, int] = (2, 7)

    def takes(self, rule: str) -> bool:
        """Whether a finding of this rule belongs here."""
        if self.kind == "codemod":
            return rule in self.selectors
        return rule.startswith(self.selectors) and not rule.startswith(NEVER)


# Ruff calls these unsafe for one reason only: a comment inside the expression may be lost. That can be checked, and is.
LIFTED = ("C400", "C401", "C402", "C403", "C404", "C405", "C406", "C410", "C411", "C414")

# Left out of the selections below. SIM112 renames environment variables; SIM108 and SIM300 are taste; SIM115 is our
# unclosed-file; the UP rules here need
# Python 3.12 generics, which readers of a mechanical patch should not have to learn, or guess at version checks.
NEVER = ("SIM108", "SIM112", "SIM115", "SIM300", "UP036", "UP040", "UP042", "UP046", "UP047", "UP049")

# Reported and never mended by us: the mend needs a person's knowledge.
REPORTED = ("E712", "E722", "F811", "F821", "F841", "B023", "B904")

FAMILIES: tuple[Family, ...] = (
    Family(
        "unused-imports",
        "Remove unused imports",
        "ruff",
        ("F401",),
        "Nothing in the file uses these names, and no other file takes them from it. An import that is needed for its "
        "side effect looks the same: the tests tell.",
    ),
    Family(
        "none-comparisons",
        "Compare with None by identity",
        "codemod",
        ("none-comparison",),
        "The files define no __eq__ and use no library that gives == another meaning.",
    ),
    Family(
        "mutable-defaults",
        "Make mutable default arguments afresh in each call",
        "codemod",
        ("mutable-default",),
        "The defaults are constant displays and no name or decorator says that sharing is meant. Code that relies on "
        "the shared value all the same will fail its tests.",
    ),
    Family(
        "modern-syntax",
        "Use the syntax of the oldest Python supported",
        "ruff",
        ("UP",),
        "Ruff calls these rewrites safe for the Python that the project's metadata names.",
        oldest_python=(3, 7),  # ruff knows no older target
    ),
    Family(
        "needless-f-strings",
        "Drop the f of strings without placeholders",
        "ruff",
        ("F541",),
        "A string without placeholders is the same text with and without the f.",
    ),
    Family(
        "simpler-expressions",
        "Say the same with less",
        "ruff",
        ("SIM", "C4", "PIE", "E713", "E714", "RET501", "PLR1711", "RSE102"),
        "Ruff calls these rewrites safe, or unsafe only for comments, of which there are none in them.",
    ),
    Family(
        "unclosed-files",
        "Close files by a with statement",
        "codemod",
        ("unclosed-file",),
        "The file is used straight through in one block and nowhere after; it is closed on exceptions too.",
    ),
    Family(
        "literal-comparisons",
        "Compare literals by value",
        "ruff",
        ("F632",),
        "Whether two equal literals are one object is the interpreter's choice; == does not depend on it.",
    ),
    Family(
        "bare-excepts",
        "Name Exception in bare except clauses",
        "codemod",
        ("bare-except",),
        "The handlers neither raise again nor end the process; Ctrl-C and interpreter exits now pass through.",
    ),
    Family(
        "request-timeouts",
        "Give HTTP requests a timeout of 30 seconds",
        "codemod",
        ("missing-timeout",),
        "A request that answers within 30 seconds behaves as before; one that never answers now raises.",
    ),
)


def ruff_selection() -> tuple[str, ...]:
    """All selectors for ruff: of the families, and of what is only reported."""
    offered = {selector for family in FAMILIES if family.kind == "ruff" for selector in family.selectors}
    return tuple(sorted(offered | set(REPORTED)))


def family_of(rule: str) -> Family | None:
    """The family that offers to mend findings of this rule."""
    return next((family for family in FAMILIES if family.takes(rule)), None)
