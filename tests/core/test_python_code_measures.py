"""Complexity, and the oldest Python of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.tools.python_code.complexity import measure, summarise
from workers.tools.python_code.parsed import parse
from workers.tools.python_code.python_floor import ASSUMED, python_floor


def numbers(text: str) -> dict[str, int]:
    return {each.name: each.complexity for each in measure(parse("m.py", text.encode(), (3, 10)))}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", 1),
        ("if a: b\n    elif c: d\n    else: e", 3),
        ("return a and b and c or d", 4),
        ("return a if b else c", 2),
        ("for a in b:\n        while c: d\n    else: e", 3),
        ("try: a\n    except B: c\n    except D: e\n    else: f\n    finally: g", 3),
        ("return [a for b in c for d in e if f if g]", 5),
        ("match a:\n        case 1: b\n        case [2, *_]: c\n        case _: d", 3),
        ("with a: assert b", 1),
        ("return lambda a: b if a else c", 2),
    ],
)
def test_counts_decisions(body: str, expected: int) -> None:
    assert numbers(f"def f():\n    {body}\n") == {"f": expected}


def test_nested_functions_count_for_themselves() -> None:
    text = "class A:\n    def f(self):\n        def g():\n            if a: b\n        return g\n"
    text += "    async def h(self): c\n"
    assert numbers(text) == {"A.f": 1, "A.f.g": 2, "A.h": 1}


def test_summary_ranks_the_worst_first() -> None:
    text = "def a(): x\ndef b():\n    " + "\n    ".join(f"if x{n}: y" for n in range(11)) + "\n"
    summary = summarise(measure(parse("m.py", text.encode(), (3, 10))))
    assert [each.name for each in summary.worst] == ["b", "a"]
    assert (summary.functions, summary.highest, summary.over_ten, summary.mean) == (2, 12, 1, 6.5)


def test_summary_of_nothing() -> None:
    assert summarise([]).model_dump() == {"functions": 0, "mean": 0.0, "highest": 0, "over_ten": 0, "worst": ()}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pyproject.toml", '[project]\nrequires-python = ">=3.11"\n', (3, 11)),
        ("pyproject.toml", '[project]\nrequires-python = ">=3.8.1,<4"\n', (3, 8)),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.9"\n', (3, 9)),
        ("pyproject.toml", "[project]\nrequires-python = 3\n", ASSUMED),
        ("pyproject.toml", "not toml", ASSUMED),
        ("setup.cfg", "[options]\npython_requires = >=2.7, !=3.0.*\n", (2, 7)),
        ("setup.cfg", "no section\n", ASSUMED),
        ("setup.py", "from setuptools import setup\nsetup(python_requires='~=3.7')\n", (3, 7)),
        ("setup.py", "setup(python_requires=VERSION)\n", ASSUMED),
        ("setup.py", "print 'two'\n", ASSUMED),
        ("README", "", ASSUMED),
    ],
)
def test_reads_the_oldest_python(tmp_path: Path, name: str, text: str, expected: tuple[int, int]) -> None:
    (tmp_path / name).write_text(text)
    assert python_floor(tmp_path) == expected
