"""Sorts fixable findings into groups, one reviewable patch each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from schemas.findings import Finding, FixGroup
from workers.tools.python_code.reexports import Reexports
from workers.tools.python_code.roles import is_test
from workers.tools.python_code.rule_families import FAMILIES, LIFTED, Family, family_of

MAX_GROUPS = 8
MAX_FILES = 40  # nobody reviews more in one sitting; the rest is offered again next time


def group_findings(
    findings: Iterable[Finding], reexports: Reexports, floor: tuple[int, int]
) -> tuple[list[FixGroup], int]:
    """The groups in the order of their families, and how many were left out by the limit."""
    by_family: dict[str, dict[str, list[Finding]]] = defaultdict(lambda: defaultdict(list))
    for finding in findings:
        family = family_of(finding.rule)
        if family is not None and family.oldest_python <= floor and not is_test(finding.path):
            by_family[family.id][finding.path].append(finding)
    groups = [_group(family, by_family[family.id], reexports) for family in FAMILIES]
    offered = [group for group in groups if group is not None]
    return offered[:MAX_GROUPS], max(len(offered) - MAX_GROUPS, 0)


def _group(family: Family, by_file: Mapping[str, list[Finding]], reexports: Reexports) -> FixGroup | None:
    usable = {path: found for path, found in sorted(by_file.items()) if _may_touch(path, found, reexports)}
    if not usable:
        return None
    files = tuple(usable)[:MAX_FILES]
    rules = Counter(finding.rule for path in files for finding in usable[path] if finding.fixable)
    return FixGroup(
        id=family.id,
        title=family.title,
        kind=family.kind,
        rules=tuple(sorted(rules)),
        files=files,
        findings=rules.total(),
        files_left=len(usable) - len(files),
        why_safe=family.why_safe,
    )


def _may_touch(path: str, found: Iterable[Finding], reexports: Reexports) -> bool:
    """Whether the group may have this file. Ruff mends a file as a whole, so one doubtful finding excludes it."""
    fixable = False
    for finding in found:
        fixable = fixable or finding.fixable
        if finding.rule == "F401" and (path.endswith("__init__.py") or reexports.needs(path, finding.message)):
            return False
        if finding.rule in LIFTED and not finding.fixable:
            return False
    return fixable
