"""Real source distributions are repaired, and plain git and plain pytest confirm the verdict outside the system."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from stigmergy import Client
from tests.acceptance.missions import task
from tests.acceptance.repositories import snapshot_of
from workers.sources import fetch

pytestmark = [pytest.mark.network, pytest.mark.timeout(300), pytest.mark.xdist_group("acceptance")]
BAD = {"failed", "error"}


async def repaired(client: Client, spec: str, folder: Path) -> tuple[Any, Any]:
    """The source, and how its repair ended."""
    source = await asyncio.to_thread(fetch, spec, folder)
    project = {"name": source.name, "version": source.version, "requirement": source.requirement}
    inputs = {"workspace": await snapshot_of(client, source.folder), "project": project}
    mission = await client.submit(f"repair {source.name}", workflow="repair", inputs=inputs)
    return source, await mission.outcome(timeout_s=240)


def plain_environment(folder: Path, requirements: tuple[str, ...]) -> Path:
    """A venv as anybody would make it."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=60)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "-q", "install", *requirements], check=True, timeout=120)
    return python


def plain_pytest(python: Path, repository: Path, report: Path) -> dict[str, str]:
    """Test to outcome, as plain pytest sees it in the repository itself."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(report.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = [str(repository / "src")] if (repository / "src").is_dir() else [str(repository)]
    environment["PYTHONPATH"] = os.pathsep.join(folders)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run(command, cwd=repository, env=environment, capture_output=True, check=False, timeout=120)
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    """Read pytest's own report, on purpose not by the reader of the system."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        bad = [mark for mark, tag in (("failed", "failure"), ("error", "error")) if case.find(tag) is not None]
        found[name] = bad[0] if bad else "skipped" if case.find("skipped") is not None else found.get(name, "passed")
    return found


@pytest.mark.parametrize(
    ("spec", "requirements", "failing"),
    [
        ("pypi:toolz==0.10.0", ("pytest",), 5),
        ("pypi:inflection==0.5.1", ("pytest",), 0),
        ("pypi:iniconfig==2.3.0", ("pytest", "iniconfig==2.3.0"), 0),
    ],
)
async def test_the_verdict_is_confirmed_outside(
    client: Client, tmp_path: Path, spec: str, requirements: tuple[str, ...], failing: int
) -> None:
    begun = time.monotonic()
    _, outcome = await repaired(client, spec, tmp_path / "theirs")
    seconds = time.monotonic() - begun
    assert outcome.status == "completed", outcome.failure
    before, after = task(outcome, "baseline").output, task(outcome, "verify").output
    made = task(outcome, "integrate").output

    python = plain_environment(tmp_path / "venv", requirements)
    fresh = await asyncio.to_thread(fetch, spec, tmp_path / "fresh")
    plain_before = plain_pytest(python, fresh.folder, tmp_path / "before.xml")
    if made["patch"]:
        subprocess.run(["git", "apply", "-"], input=made["patch"], text=True, cwd=fresh.folder, check=True)
    plain_after = plain_pytest(python, fresh.folder, tmp_path / "after.xml")

    groups = len(task(outcome, "analyze").output["groups"])
    bad_before, bad_after = broken(plain_before), broken(plain_after)
    print(
        f"\n| {spec} | {counts(before)} | {groups} found, {len(made['kept'])} kept | {counts(after)} "
        f"| {len(plain_before)} tests, {len(bad_before)} -> {len(bad_after)} broken | {seconds:.1f} s |"
    )
    assert len(bad_before) == failing == before["failed"] + before["error"]
    assert len(bad_after) == after["failed"] + after["error"]
    assert bad_after <= bad_before
    assert passing(plain_before) <= passing(plain_after)
    assert (len(passing(plain_before)), len(passing(plain_after))) == (before["passed"], after["passed"])


def broken(cases: dict[str, str]) -> set[str]:
    return {name for name, outcome in cases.items() if outcome in BAD}


def passing(cases: dict[str, str]) -> set[str]:
    return {name for name, outcome in cases.items() if outcome == "passed"}


def counts(report: dict[str, Any]) -> str:
    return f"{report['passed']} passed, {report['failed'] + report['error']} broken"
