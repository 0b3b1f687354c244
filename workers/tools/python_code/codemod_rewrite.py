"""Applies codemods to files in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import libcst as cst

from schemas.errors import InvalidSource
from workers.tools.python_code.codemods import CODEMODS
from workers.tools.python_code.detectors import detect
from workers.tools.python_code.nesting import nests_too_deeply
from workers.tools.python_code.parsed import Parsed, parse
from workers.tools.python_code.rewrites import Rewrite


def codemod_rewrite(
    sources: Mapping[str, Parsed], contents: Mapping[str, bytes], rules: Sequence[str], floor: tuple[int, int]
) -> Rewrite:
    """Rewrite the sites that the detectors call fixable. The detectors are asked again: the files may have changed
    since the analysis, and lines with them."""
    done = Rewrite()
    for path, source in sources.items():
        data, counts = contents[path], Counter[str]()
        for rule in rules:
            if rule not in CODEMODS:
                done.notes.append(f"{path}: there is no codemod for {rule}")
                continue
            try:
                data, count = _rewritten(source, data, rule, done.notes)
                source = parse(path, data, floor)
            except (cst.ParserSyntaxError, InvalidSource) as error:
                done.notes.append(f"{path}: {rule} could not be applied ({_reason(error)}); left as it was")
                break
            counts[rule] += count
        else:
            done.contents[path], done.counts[path] = data, +counts
    return done


def _reason(error: cst.ParserSyntaxError | InvalidSource) -> str:
    return error.message.splitlines()[0]


def _rewritten(source: Parsed, data: bytes, rule: str, notes: list[str]) -> tuple[bytes, int]:
    sites = frozenset(site.position for site in detect(source) if site.rule == rule and site.fixable)
    if not sites:
        return data, 0
    if nests_too_deeply(source.tree):
        raise InvalidSource("expressions nest too deeply for a rewrite", hint="split the long expression")
    codemod = CODEMODS[rule](sites)
    data = codemod.rewrite(data)
    if codemod.rewritten < len(sites):
        notes.append(f"{source.path}: {len(sites) - codemod.rewritten} of {len(sites)} {rule} were left")
    return data, codemod.rewritten
