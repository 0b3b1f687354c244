"""The example repository has the flaws that its README lists, and its tests refuse exactly one group."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.tools.python_code import analyse, apply_group

EXAMPLE = Path(__file__).parents[2] / "examples" / "orders"
ACCEPTED = (
    "unused-imports",
    "none-comparisons",
    "modern-syntax",
    "needless-f-strings",
    "simpler-expressions",
    "unclosed-files",
)
REFUSED = "mutable-defaults"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "orders", ignore=shutil.ignore_patterns("__pycache__", ".*")))


def suite(folder: Path) -> subprocess.CompletedProcess[str]:
    # No plugins of ours: the example needs pytest and nothing else, and starts faster so.
    plain = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", "-p", "no:randomly"]
    command = [sys.executable, "-B", "-m", "pytest", "-q", *plain]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_groups_are_those_of_the_readme() -> None:
    groups = {group.id for group in analyse(EXAMPLE).groups}
    assert groups == {*ACCEPTED, REFUSED}
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert all(f"`{group}`" in readme for group in groups)


def test_every_finding_of_a_group_is_mended(copy: Path) -> None:
    for group in analyse(copy).groups:
        done = apply_group(copy, group)
        assert (sum(done.counts.values()), done.files, done.notes) == (group.findings, group.files, ())
        assert apply_group(copy, group).changed is False


def test_the_suite_passes_before_and_after_all_accepted_groups(copy: Path) -> None:
    before = suite(copy)
    assert before.returncode == 0, before.stdout
    for group in analyse(copy).groups:
        if group.id in ACCEPTED:
            apply_group(copy, group)
    after = suite(copy)
    assert after.returncode == 0, after.stdout


def test_the_suite_refuses_the_shared_counter(copy: Path) -> None:
    (group,) = [group for group in analyse(copy).groups if group.id == REFUSED]
    apply_group(copy, group)
    done = suite(copy)
    assert done.returncode == 1
    assert "FAILED tests/test_invoices.py::test_numbers_have_no_gaps" in done.stdout
    assert "1 failed" in done.stdout
