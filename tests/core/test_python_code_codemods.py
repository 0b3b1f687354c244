"""What the codemods write: only the sites, each byte around them kept, and nothing the second time."""

from __future__ import annotations

import ast
import stat
from pathlib import Path

import pytest

from schemas.findings import Applied, FixGroup
from workers.tools.python_code import apply_group

DEFAULTS = (
    "def f(a, x: list[int] = [], *, y={'k': 1}):  # why\n    'Doc.'\n\n    x.append(a)\n    return x, y\n",
    "def f(a, x: list[int] | None = None, *, y=None):  # why\n    'Doc.'\n    if x is None:\n        x = []\n"
    "    if y is None:\n        y = {'k': 1}\n\n    x.append(a)\n    return x, y\n",
)
NESTED_DEFAULTS = (
    "def f(x=[]):\n    def g(y=set()):\n        return y\n    return g(x)\n",
    "def f(x=None):\n    if x is None:\n        x = []\n    def g(y=None):\n        if y is None:\n"
    "            y = set()\n        return y\n    return g(x)\n",
)
OPTIONAL = (
    "from typing import Optional\ndef f(x: Optional[list] = []):\n    return x\n",
    "from typing import Optional\ndef f(x: Optional[list] = None):\n    if x is None:\n        x = []\n    return x\n",
)
NONES = (
    "a = (x) == None or None!=f(y)  # keep\nb = [i for i in c if (i\n    != None)]\n",
    "a = (x) is None or f(y) is not None  # keep\nb = [i for i in c if (i\n    is not None)]\n",
)
EXCEPTS = (
    "try:\n    f()\nexcept :  # all\n    log()\nfinally:\n    g()\n",
    "try:\n    f()\nexcept Exception:  # all\n    log()\nfinally:\n    g()\n",
)
TIMEOUTS = (
    "import requests\na = requests.get(u).json()\nb = requests.post(\n    u,\n    json=j,\n)\n"
    "c = requests.get(\n    u,\n)\n",
    "import requests\na = requests.get(u, timeout=30).json()\nb = requests.post(\n    u,\n    json=j,\n"
    "    timeout=30,\n)\nc = requests.get(\n    u,\n    timeout=30,\n)\n",
)
BY_HAND = (
    "def f(p):\n    # the file\n    h = open(p)  # text\n    n = 0\n    for line in h:\n        n += 1  # count\n\n"
    "    h.close()\n    return n\n",
    "def f(p):\n    # the file\n    with open(p) as h:  # text\n        n = 0\n        for line in h:\n"
    "            n += 1  # count\n    return n\n",
)
AT_ONCE = (
    "import json\nx = open(p).read().strip()  # all\ndef f():\n    if x:\n        return json.load(open(p))\n",
    "import json\nwith open(p) as handle:\n    x = handle.read().strip()  # all\ndef f():\n    if x:\n"
    "        with open(p) as handle:\n            return json.load(handle)\n",
)
TWO_FILES = (
    "def f(p, q):\n    a = open(p)\n    b = open(q, 'w')\n    b.write(a.read())\n    b.close()\n    a.close()\n",
    "def f(p, q):\n    with open(p) as a:\n        with open(q, 'w') as b:\n            b.write(a.read())\n",
)

CASES = [
    ("mutable-default", *DEFAULTS),
    ("mutable-default", *NESTED_DEFAULTS),
    ("mutable-default", *OPTIONAL),
    ("none-comparison", *NONES),
    ("bare-except", *EXCEPTS),
    ("missing-timeout", *TIMEOUTS),
    ("unclosed-file", *BY_HAND),
    ("unclosed-file", *AT_ONCE),
    ("unclosed-file", *TWO_FILES),
]


def group(rule: str, *files: str) -> FixGroup:
    return FixGroup(id="g", title="t", kind="codemod", rules=(rule,), files=files, findings=1, why_safe="test")


def applied(folder: Path, rule: str, data: bytes) -> tuple[bytes, Applied]:
    (folder / "m.py").write_bytes(data)
    done = apply_group(folder, group(rule, "m.py"))
    return (folder / "m.py").read_bytes(), done


@pytest.mark.parametrize(("rule", "before", "after"), CASES)
def test_rewrites(tmp_path: Path, rule: str, before: str, after: str) -> None:
    got, done = applied(tmp_path, rule, before.encode())
    assert got.decode() == after
    assert done.files == ("m.py",)
    assert done.notes == ()
    assert apply_group(tmp_path, group(rule, "m.py")).changed is False


@pytest.mark.parametrize(("rule", "before", "after"), CASES)
def test_keeps_line_ends_and_byte_order_mark(tmp_path: Path, rule: str, before: str, after: str) -> None:
    mark = b"\xef\xbb\xbf"
    got, _ = applied(tmp_path, rule, mark + before.replace("\n", "\r\n").encode())
    assert got == mark + after.replace("\n", "\r\n").encode()


def test_keeps_the_encoding(tmp_path: Path) -> None:
    text = "# coding: latin-1\nname = 'Müller'; x = name == None\n"
    got, _ = applied(tmp_path, "none-comparison", text.encode("latin-1"))
    assert got == text.replace("== None", "is None").encode("latin-1")


def test_files_whose_lives_overlap_still_parse(tmp_path: Path) -> None:
    text = "def f(p, q):\n    a = open(p)\n    b = open(q)\n    g(a, b)\n    a.close()\n    g(b)\n    b.close()\n"
    got, done = applied(tmp_path, "unclosed-file", text.encode())
    ast.parse(got)
    assert b"with open(p) as a:" in got
    assert done.counts == {"unclosed-file": 1}
    assert done.notes == ("m.py: 1 of 2 unclosed-file were left",)


def test_keeps_the_mode_and_the_other_name_of_a_file(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.write_bytes(b"x == None\n")
    (tmp_path / "m.py").hardlink_to(store)
    store.chmod(0o750)
    apply_group(tmp_path, group("none-comparison", "m.py"))
    assert (tmp_path / "m.py").read_bytes() == b"x is None\n"
    assert store.read_bytes() == b"x == None\n"
    assert stat.S_IMODE((tmp_path / "m.py").stat().st_mode) == 0o750
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.py", "store"]


def test_leaves_what_is_missing_linked_or_broken(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_bytes(b"x == None\n")
    folder = tmp_path / "repository"
    (folder / "real").mkdir(parents=True)
    (folder / "link.py").symlink_to(outside)
    (folder / "door").symlink_to(tmp_path)
    (folder / "broken.py").write_bytes(b"x == None (\n")
    done = apply_group(folder, group("none-comparison", "gone.py", "link.py", "door/outside.py", "broken.py"))
    assert done.files == ()
    assert len(done.notes) == 4
    assert outside.read_bytes() == b"x == None\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "../m.py", "a/../../m.py", "a//b.py", ""])
def test_a_group_cannot_name_files_outside(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|character"):
        group("none-comparison", path)


def test_an_unknown_rule_is_noted(tmp_path: Path) -> None:
    got, done = applied(tmp_path, "no-such-rule", b"x = 1\n")
    assert (got, done.notes) == (b"x = 1\n", ("m.py: there is no codemod for no-such-rule",))


@pytest.mark.parametrize("text", ["x = a" + " == None or a" * 20_000, "x = a" + ".b()" * 2_500 + " == None"])
def test_what_nests_too_deeply_is_left_and_noted(tmp_path: Path, text: str) -> None:
    got, done = applied(tmp_path, "none-comparison", text.encode())
    assert (got.decode(), done.files) == (text, ())
    assert "too deeply" in done.notes[0]
