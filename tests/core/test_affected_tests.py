"""Which test files reach what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.tools.pytest_suite.affected import affected_tests

FILES = {
    "src/shop/__init__.py": "",
    "src/shop/money.py": "",
    "src/shop/prices.py": "from .money import add\n",
    "src/shop/deep/__init__.py": "",
    "src/shop/deep/far.py": "from ..prices import price\n",
    "src/shop/alone.py": "import os\n",
    "tests/conftest.py": "",
    "tests/test_money.py": "import shop.money\n",
    "tests/test_prices.py": "from shop import prices\n",
    "tests/far_test.py": "def test():\n    from shop.deep import far\n",
    "tests/test_alone.py": "from shop import alone\n",
    "tests/test_broken.py": "def (\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        (["src/shop/money.py"], ("far_test", "test_money", "test_prices")),
        (["src/shop/prices.py"], ("far_test", "test_prices")),
        (["src/shop/deep/far.py"], ("far_test",)),
        (["src/shop/alone.py", "tests/test_money.py"], ("test_alone", "test_money")),
        (["src/shop/__init__.py"], ("far_test", "test_alone", "test_money", "test_prices")),
        ([], ()),
    ],
)
def test_they_are_found_by_their_imports(shop: Path, changed: list[str], tests: tuple[str, ...]) -> None:
    assert affected_tests(shop, changed) == tuple(sorted(f"tests/{name}.py" for name in tests))


@pytest.mark.parametrize("changed", ["tests/conftest.py", "setup.cfg", "src/shop/gone.py"])
def test_what_cannot_be_told_is_not_guessed(shop: Path, changed: str) -> None:
    assert affected_tests(shop, ["src/shop/money.py", changed]) is None
