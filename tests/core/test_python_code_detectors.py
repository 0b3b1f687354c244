"""What each detector of the Python tools sees, and what it leaves alone."""

from __future__ import annotations

import pytest

from schemas.findings import Severity
from workers.tools.python_code.detectors import detect
from workers.tools.python_code.parsed import DoesNotParse, Parsed, Site, parse


def source(text: str, floor: tuple[int, int] = (3, 10)) -> Parsed:
    return parse("module.py", text.encode(), floor)


def sites(text: str, rule: str, floor: tuple[int, int] = (3, 10)) -> list[Site]:
    return [site for site in detect(source(text, floor)) if site.rule == rule]


SEEN = [
    ("mutable-default", "def f(x=[]):\n    return x\n"),
    ("mutable-default", "async def f(*, x=dict()):\n    return x\n"),
    ("bare-except", "try:\n    f()\nexcept:\n    g()\n"),
    ("swallowed-exception", "try:\n    f()\nexcept Exception:\n    pass\n"),
    ("none-comparison", "if x != None:\n    pass\n"),
    ("unclosed-file", "text = open(p).read()\n"),
    ("unclosed-file", "def f():\n    h = open(p)\n    g(h)\n    h.close()\n"),
    ("missing-timeout", "import requests\nrequests.get(u)\n"),
    ("shadowed-builtin", "list = [1]\n"),
    ("shadowed-builtin", "def f(max):\n    return max\n"),
    ("unreachable-code", "def f():\n    return 1\n    g()\n"),
    ("tuple-assert", "assert (x, 'message')\n"),
    ("dynamic-code", "eval(text)\n"),
    ("duplicate-key", "d = {'a': 1, 'b': 2, 'a': 3}\n"),
]

NOT_SEEN = [
    ("mutable-default", "def f(x=(), y=None):\n    return x\n"),
    ("bare-except", "try:\n    f()\nexcept ValueError:\n    pass\n"),
    ("swallowed-exception", "try:\n    f()\nexcept KeyError:\n    pass\n"),
    ("none-comparison", "if x is None or a == None == b:\n    pass\n"),
    ("unclosed-file", "with open(p) as h:\n    h.read()\n"),
    ("unclosed-file", "def f():\n    return open(p)\n"),
    ("missing-timeout", "import requests\nrequests.get(u, timeout=3)\nrequests.get(u, **options)\n"),
    ("missing-timeout", "def f(requests):\n    requests.get(u)\n"),
    ("shadowed-builtin", "class A:\n    max = 3\n    min: int = 1\n"),
    ("unreachable-code", "def f():\n    return\n    yield\n"),
    ("tuple-assert", "assert x, 'message'\n"),
    ("dynamic-code", "frame.eval('a + b')\n"),
    ("duplicate-key", "d = {'a': 1, a: 2, **e}\n"),
]


@pytest.mark.parametrize(("rule", "text"), SEEN)
def test_sees(rule: str, text: str) -> None:
    assert len(sites(text, rule)) == 1


@pytest.mark.parametrize(("rule", "text"), NOT_SEEN)
def test_leaves_alone(rule: str, text: str) -> None:
    assert sites(text, rule) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(cache={}):\n    return cache\n",  # the name says that sharing is meant
        "def f(x=[]): return x\n",  # no line to put a guard on
        "def f(x=[]):\n    ...\n",  # a stub
        "def f(x=[y]):\n    return x\n",  # y may mean something else in the body
        "def f(x: 'list[int]' = []):\n    return x\n",
        "@app.command()\ndef f(x=[]):\n    return x\n",  # the decorator may read the signature
    ],
)
def test_offers_no_fix_for_doubtful_defaults(text: str) -> None:
    assert [site.fixable for site in sites(text, "mutable-default")] == [False]


def test_widens_annotations_only_where_the_oldest_python_can() -> None:
    text = "def f(x: list[int] = []):\n    return x\n"
    assert [sites(text, "mutable-default", floor)[0].fixable for floor in ((3, 9), (3, 10))] == [False, True]
    assert sites("from __future__ import annotations\n" + text, "mutable-default", (3, 9))[0].fixable


@pytest.mark.parametrize("body", ["raise", "sys.exit(1)", "log(sys.exc_info())", "if x:\n        raise E from None"])
def test_offers_no_fix_for_handlers_that_mean_everything(body: str) -> None:
    assert [site.fixable for site in sites(f"try:\n    f()\nexcept:\n    {body}\n", "bare-except")] == [False]


@pytest.mark.parametrize(
    "extra", ["import numpy as np\n", "from sqlalchemy import select\n", "def __eq__(a, b): ...\n"]
)
def test_offers_no_fix_where_equality_may_mean_something_else(extra: str) -> None:
    assert [site.fixable for site in sites(extra + "x == None\n", "none-comparison")] == [False]


@pytest.mark.parametrize(
    "body",
    [
        "h = open(p)\n    if a:\n        return 1\n    h.close()",
        "h = open(p)\n    g(h)\n    h.close()\n    g(h)",
        "h = open(p)\n    g(h)\n    # why here\n    h.close()",
        "h = open(p)\n    h = g(h)\n    h.close()",
        "h = open(p); g(h)\n    h.close()",
        "h = open(p)\n    h.close()",
        "handle = 1\n    x = open(p).read()",
    ],
)
def test_offers_no_fix_for_files_with_a_winding_life(body: str) -> None:
    assert [site.fixable for site in sites(f"def f():\n    {body}\n", "unclosed-file")] == [False]


def test_obeys_noqa_under_every_name_of_a_rule() -> None:
    flaw = "x == None"
    assert sites(f"{flaw}  # noqa\n", "none-comparison") == []
    assert sites(f"{flaw}  # noqa: F401, E711\n", "none-comparison") == []
    assert len(sites(f"{flaw}  # noqa: F401\n", "none-comparison")) == 1
    assert sites(f"# ruff: noqa\n{flaw}\n", "none-comparison") == []


def test_columns_count_characters() -> None:
    (site,) = sites("é = 'ü' if x == None else 1\n", "none-comparison")
    assert site.position == (1, "é = 'ü' if x == None".index("None"))
    assert site.severity is Severity.WARNING


@pytest.mark.parametrize(
    "data",
    [
        b"def f(:\n",
        b"print 'x'\n",
        b"x = 1\0\n",
        b"\xff\xfe\n",
        b"# coding: klingon\n",
        b"x = " + b"(" * 900 + b")" * 900,
    ],
)
def test_what_does_not_parse_says_why(data: bytes) -> None:
    with pytest.raises(DoesNotParse, match=r"\w+") as caught:
        parse("module.py", data, (3, 10))
    assert caught.value.line >= 1


def test_odd_escapes_in_strings_raise_no_warning() -> None:
    assert parse("module.py", b"x = '\\d'\nassert x is 'a'\n", (3, 10)).lines[0] == "x = '\\d'"
