"""Applies ruff's safe fixes to copies of files."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.tools.python_code import ruff_binary
from workers.tools.python_code.parsed import DoesNotParse, Parsed, parse
from workers.tools.python_code.rewrites import Rewrite
from workers.tools.python_code.ruff_findings import RuffFinding, ruff_findings
from workers.tools.python_code.rule_families import LIFTED

_UNUSED_IMPORT = "F401"


def ruff_rewrite(
    sources: Mapping[str, Parsed], contents: Mapping[str, bytes], rules: Sequence[str], floor: tuple[int, int]
) -> Rewrite:
    """Fix copies in a folder of their own: ruff writes in place, and what it writes is to be verified first.

    A rewrite such as ``List[int]`` to ``list[int]`` leaves an import without use. Such leftovers are removed too, but
    only where no import was unused before: removing that one is another group's business.
    """
    done = Rewrite()
    with tempfile.TemporaryDirectory(prefix="stigmergy-ruff-") as name:
        folder = Path(name)
        _lay_out(folder, contents)
        asked = sorted({*rules, _UNUSED_IMPORT})
        before = ruff_findings(folder, sources, asked, floor)
        files = [path for path in sources if not _would_lose_comment(path, before, rules, done.notes)]
        ruff_binary.fix(folder, files, rules, floor)
        tidy = _without_unused_imports(files, before)
        if _UNUSED_IMPORT not in rules:
            ruff_binary.fix(folder, tidy, [_UNUSED_IMPORT], floor)
        done.contents = {path: (folder / path).read_bytes() for path in files}
        after = ruff_findings(folder, _parsed(done.contents, floor), rules, floor)
    for path in files:
        done.counts[path] = _count(path, before, rules) - _count(path, after, rules)
    return done


def _lay_out(folder: Path, contents: Mapping[str, bytes]) -> None:
    for path, data in contents.items():
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)


def _would_lose_comment(path: str, found: Sequence[RuffFinding], rules: Sequence[str], notes: list[str]) -> bool:
    doubtful = {each.rule for each in found if each.path == path and each.rule in LIFTED and not each.fixable}
    if doubtful & set(rules):
        notes.append(f"{path}: a fix could lose a comment ({', '.join(sorted(doubtful))}); left alone")
        return True
    return False


def _without_unused_imports(files: Sequence[str], found: Sequence[RuffFinding]) -> list[str]:
    untidy = {each.path for each in found if each.rule == _UNUSED_IMPORT}
    return [path for path in files if path not in untidy and not path.endswith("__init__.py")]


def _parsed(contents: Mapping[str, bytes], floor: tuple[int, int]) -> dict[str, Parsed]:
    sources = {}
    for path, data in contents.items():
        try:
            sources[path] = parse(path, data, floor)
        except DoesNotParse:
            continue  # whoever writes the files will see the same, and say so
    return sources


def _count(path: str, found: Sequence[RuffFinding], rules: Sequence[str]) -> Counter[str]:
    return Counter(each.rule for each in found if each.path == path and each.fixable and each.rule in rules)
