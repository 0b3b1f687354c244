"""The templates: one SQL file each in ``templates/``, with a header of comments that says what it is.

::

    -- title: Agents
    -- description: Attempts that ended, by agent.
    -- parameter since: time = 1d -- the beginning
    -- parameter limit: whole(1000) = 20 -- rows at most
    -- parameter by: choice(agent, tool) = agent -- what rows are
    -- units: p50_s s, cost_usd $
    -- chart: bar agent p95_s            (or: line time events by type)
    SELECT … WHERE tenant = {tenant:String} AND …

A file that is put there is a template; nothing else needs to know. Rows come in the order in which they are shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from projections.analytics.queries.parameters import KINDS, Parameter
from schemas.errors import InvalidInput

_PARAMETER = re.compile(r"(\w+): (\w+)(?:\(([^)]*)\))? =\s?(\S*?)(?: -- (.*))?")
_HEADER = re.compile(r"-- (title|description|units|chart|parameter)(?::| (?=\w)) ?(.*)")
_PLACEHOLDER = re.compile(r"\{(\w+):[^}]+\}")


@dataclass(frozen=True, slots=True)
class Chart:
    """Which columns make the chart: bars for each ``x``, or a line over the times ``x`` for each ``series``."""

    kind: str
    x: str
    y: str
    series: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """One question that many ask. ``units``: of columns, such as ``s``; none where the name says enough."""

    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[Parameter, ...]
    units: Mapping[str, str]
    chart: Chart | None

    def bind(self, given: Mapping[str, Any], tenant: str, now: datetime) -> dict[str, Any]:
        """Values for all placeholders. Raises :class:`InvalidInput`."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise InvalidInput(
                    f"the query {self.name} has no parameter {name!r}",
                    hint=f"it has: {', '.join(known)}; see: stig query list {self.name}",
                )
        values = {name: each.read(given.get(name, each.default), now) for name, each in known.items()}
        if "since" in values and "until" in values and values["since"] >= values["until"]:
            raise InvalidInput("since is not before until", hint="write an earlier since, or leave until out")
        return {**values, "tenant": tenant}


@cache
def templates() -> dict[str, Template]:
    """All of them, by name."""
    found = sorted((Path(__file__).parent / "templates").glob("*.sql"))
    return {path.stem: parsed(path.stem, path.read_text(encoding="utf-8")) for path in found}


def template(name: str) -> Template:
    """The one of this name. Raises :class:`InvalidInput`, with the nearest name."""
    found = templates().get(name)
    if found is None:
        near = difflib.get_close_matches(name, templates(), 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise InvalidInput(f"there is no query {name!r}", hint=f"{meant}`stig query list` shows them")
    return found


def parsed(name: str, text: str) -> Template:
    """A template from its file. Raises :class:`InvalidInput`: it is written wrongly."""
    head: dict[str, str] = {}
    parameters: list[Parameter] = []
    lines = text.splitlines()
    begin = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    for line in lines[:begin]:
        said = _HEADER.fullmatch(line)
        if said is None:
            raise InvalidInput(f"template {name}: cannot read {line!r}", hint="see queries/registry.py")
        if said[1] == "parameter":
            parameters.append(_parameter(name, said[2]))
        else:
            head[said[1]] = said[2].strip()
    sql = "\n".join(lines[begin:]).strip()
    used, known = set(_PLACEHOLDER.findall(sql)), {each.name for each in parameters}
    if "tenant" not in used or used - {"tenant"} != known:
        raise InvalidInput(
            f"template {name}: placeholders and parameters differ: {', '.join(sorted(used ^ known))}",
            hint="it has to use {tenant:String} and each of its parameters",
        )
    _check_sizes(name, sql, parameters)
    units = dict(_unit(pair) for pair in head.get("units", "").split(",") if pair)
    return Template(
        name, head["title"], head["description"], sql, tuple(parameters), units, _chart(head.get("chart", ""))
    )


def _parameter(template_name: str, said: str) -> Parameter:
    found = _PARAMETER.fullmatch(said)
    if found is None or found[2] not in KINDS:
        raise InvalidInput(f"template {template_name}: cannot read the parameter {said!r}", hint=f"kinds: {KINDS}")
    name, kind, inside, default, description = found.groups()
    choices = tuple(each.strip() for each in inside.split(",")) if kind == "choice" and inside else ()
    most = int(inside) if kind == "whole" and inside else 0
    return Parameter(name, kind, default, description or "", choices, most)


def _check_sizes(template_name: str, sql: str, parameters: list[Parameter]) -> None:
    """A number that a placeholder cannot hold would be another one in the engine."""
    for parameter in parameters:
        for bits in re.findall(rf"\{{{parameter.name}:UInt(\d+)\}}", sql):
            if parameter.greatest >= 2 ** int(bits):
                raise InvalidInput(
                    f"template {template_name}: {parameter.name} may be {parameter.greatest}, too great for UInt{bits}",
                    hint="give it a smaller bound, or its placeholder a larger type",
                )


def _unit(pair: str) -> tuple[str, str]:
    column, _, unit = pair.strip().partition(" ")
    return column, unit


def _chart(said: str) -> Chart | None:
    words: Iterator[str] = iter(said.split())
    kind = next(words, None)
    if kind is None:
        return None
    x, y, *rest = words
    return Chart(kind, x, y, rest[1] if rest else None)
