"""Analyses a repository: what is wrong, where, and which groups of fixes are on offer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from schemas.findings import Analysis, Finding, FixGroup, FunctionComplexity, Severity
from workers.tools.python_code.complexity import measure, summarise
from workers.tools.python_code.detectors import detect
from workers.tools.python_code.fix_groups import group_findings
from workers.tools.python_code.parsed import DoesNotParse, Parsed, parse
from workers.tools.python_code.python_floor import python_floor
from workers.tools.python_code.reexports import Reexports
from workers.tools.python_code.ruff_findings import RuffFinding, ruff_findings
from workers.tools.python_code.rule_families import family_of, ruff_selection
from workers.tools.python_code.source_files import collect

MAX_LISTED = 200
MAX_COMPLEXITY = 15
_MESSAGE = 300
_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_RUFF_SEVERITY = {
    "F821": Severity.ERROR,
    "F632": Severity.ERROR,
    **dict.fromkeys(("F811", "F841", "E712", "E722", "B023", "B904"), Severity.WARNING),
}


def analyse(folder: Path, *, exclude: Sequence[str] = ()) -> Analysis:
    """Analyse the Python files below ``folder``. Reads only, runs nothing of the repository, and is deterministic.

    Args:
        folder: the root of the repository.
        exclude: shell patterns over whole relative paths, such as ``docs/*``; files they match are left alone.

    Raises:
        InvalidSource: no such folder, or no Python in it.
        ToolMissing, TimedOut, Permanent: ruff is missing, too slow, or failed.
    """
    collected = collect(folder, exclude)
    floor = python_floor(folder)
    sources, findings = _parse_all(collected.contents, floor)
    # bare-except is ours to report; ruff's E722 is of use only to those who silence it by that code.
    rules = [rule for rule in ruff_selection() if rule != "E722"]
    findings += [_from_ruff(said) for said in ruff_findings(folder, sources, rules, floor)]
    findings += [finding for source in sources.values() for finding in _from_tree(source)]
    numbers = [number for source in sources.values() for number in measure(source)]
    findings += [_too_complex(number) for number in numbers if _is_too_complex(number, sources)]
    groups, left = group_findings(findings, Reexports(sources), floor)
    findings = sorted((_with_group(finding, groups) for finding in findings), key=_order)
    return Analysis(
        python=f"{floor[0]}.{floor[1]}",
        files=len(collected.contents),
        lines=sum(
            data.count(b"\n") + (not data.endswith(b"\n") and data != b"") for data in collected.contents.values()
        ),
        skipped=len(collected.skipped),
        total=len(findings),
        truncated=max(len(findings) - MAX_LISTED, 0),
        by_rule=dict(sorted(Counter(finding.rule for finding in findings).items())),
        by_severity={each: sum(finding.severity is each for finding in findings) for each in Severity},
        findings=tuple(findings[:MAX_LISTED]),
        groups=tuple(groups),
        groups_left=left,
        complexity=summarise(numbers),
    )


def _parse_all(contents: Mapping[str, bytes], floor: tuple[int, int]) -> tuple[dict[str, Parsed], list[Finding]]:
    sources: dict[str, Parsed] = {}
    failed: list[Finding] = []
    for path, data in contents.items():
        try:
            sources[path] = parse(path, data, floor)
        except DoesNotParse as error:
            failed.append(_does_not_parse(path, error))
    return sources, failed


def _does_not_parse(path: str, error: DoesNotParse) -> Finding:
    message = f"does not parse: {error}"[:_MESSAGE]
    severity = Severity.ERROR
    return Finding(
        rule="syntax-error", message=message, path=path, line=error.line, column=1, severity=severity, detector="files"
    )


def _from_ruff(said: RuffFinding) -> Finding:
    return Finding(
        rule=said.rule,
        message=said.message[:_MESSAGE],
        path=said.path,
        line=said.line,
        column=said.column,
        end_line=said.end_line,
        severity=_RUFF_SEVERITY.get(said.rule, Severity.INFO),
        detector="ruff",
        fixable=said.fixable,
    )


def _from_tree(source: Parsed) -> Iterable[Finding]:
    for site in detect(source):
        yield Finding(
            rule=site.rule,
            message=site.message[:_MESSAGE],
            path=source.path,
            line=site.position[0],
            column=site.position[1] + 1,
            end_line=site.end_line,
            severity=site.severity,
            detector="ast",
            fixable=site.fixable,
        )


def _is_too_complex(number: FunctionComplexity, sources: Mapping[str, Parsed]) -> bool:
    silenced = sources[number.path].suppressions.silence("complex-function", number.line)
    return number.complexity > MAX_COMPLEXITY and not silenced


def _too_complex(number: FunctionComplexity) -> Finding:
    return Finding(
        rule="complex-function",
        message=f"{number.name}() has a complexity of {number.complexity}"[:_MESSAGE],
        path=number.path,
        line=number.line,
        column=1,
        severity=Severity.WARNING,
        detector="complexity",
    )


def _with_group(finding: Finding, groups: Sequence[FixGroup]) -> Finding:
    family = family_of(finding.rule) if finding.fixable else None
    for group in groups:
        if family is not None and group.id == family.id and finding.path in group.files:
            return finding.model_copy(update={"fix_group": group.id})
    return finding


def _order(finding: Finding) -> tuple[int, str, int, int, str, str]:
    """Worst first, so that what a cut leaves out matters least; then by place."""
    return _RANK[finding.severity], finding.path, finding.line, finding.column, finding.rule, finding.message
