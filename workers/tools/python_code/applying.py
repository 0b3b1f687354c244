"""Applies one group of fixes to a folder: works on copies, and writes only what is verified to parse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import InvalidSource
from schemas.findings import Applied, FixGroup
from workers.tools.python_code.codemod_rewrite import codemod_rewrite
from workers.tools.python_code.parsed import DoesNotParse, Parsed, parse
from workers.tools.python_code.python_floor import python_floor
from workers.tools.python_code.replacing import replace_file
from workers.tools.python_code.rewrites import Rewrite
from workers.tools.python_code.ruff_rewrite import ruff_rewrite


@dataclass(slots=True)
class _Taken:
    sources: dict[str, Parsed] = field(default_factory=dict)
    bytes: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def apply_group(folder: Path, group: FixGroup) -> Applied:
    """Apply the fixes of ``group`` to its files below ``folder``.

    Files that are missing, that are links, or that do not parse are left alone and noted. So is a file whose fixed form
    does not parse. Applying a group twice changes nothing the second time.

    Raises:
        InvalidSource: no such folder.
        ToolMissing, TimedOut, Permanent: ruff is missing, too slow, or failed. Nothing was written then.
    """
    if not folder.is_dir():
        raise InvalidSource(f"{folder} is not a folder", hint="name the folder that holds the repository")
    floor = python_floor(folder)
    taken = _take(folder, group.files, floor)
    rewrite = ruff_rewrite if group.kind == "ruff" else codemod_rewrite
    done = rewrite(taken.sources, taken.bytes, group.rules, floor)
    notes = [*taken.notes, *done.notes]
    changed: list[str] = []
    counts: Counter[str] = Counter()
    for path in sorted(done.contents):
        if _write(folder, path, taken.bytes[path], done, floor, notes):
            changed.append(path)
            counts.update(done.counts.get(path, {}))
    return Applied(group=group.id, files=tuple(changed), counts=dict(sorted(counts.items())), notes=tuple(notes))


def _take(folder: Path, files: Sequence[str], floor: tuple[int, int]) -> _Taken:
    taken = _Taken()
    root = folder.resolve()
    for path in sorted(set(files)):
        full = folder / path
        if full.is_symlink() or not full.is_file() or not full.resolve().is_relative_to(root):
            taken.notes.append(f"{path}: not there, or a link; left alone")
            continue
        data = full.read_bytes()
        try:
            taken.sources[path] = parse(path, data, floor)
        except DoesNotParse as error:
            taken.notes.append(f"{path}: does not parse ({error}); left alone")
        else:
            taken.bytes[path] = data
    return taken


def _write(folder: Path, path: str, before: bytes, done: Rewrite, floor: tuple[int, int], notes: list[str]) -> bool:
    after = done.contents[path]
    if after == before:
        return False
    try:
        parse(path, after, floor)
    except DoesNotParse as error:
        notes.append(f"{path}: the fixed file would not parse ({error}); left as it was")
        return False
    replace_file(folder / path, after)
    return True
