"""A suite is run in a copy and reported case by case; the repository stays as it was."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
import venv
from pathlib import Path

import pytest

from schemas.errors import InvalidInput
from schemas.test_report import TestCase, TestReport
from workers.environments import Environment
from workers.sandboxes import Limits, Sandbox
from workers.sandboxes.bubblewrap import BubblewrapSandbox
from workers.sandboxes.process import ProcessSandbox
from workers.tools.pytest_suite import run_suite
from workers.tools.pytest_suite.junit import UnreadableReport, read_cases

LIMITS = Limits(wall_s=30.0)


@pytest.fixture(scope="module", params=["bubblewrap", "process"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "process":
        return ProcessSandbox()
    found = BubblewrapSandbox()
    if found.fault and not os.environ.get("CI"):
        pytest.skip(found.fault)
    assert not found.fault
    return found


PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "coverage", "idna", "py")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A small environment made of what these very tests run on: nothing is fetched, and it starts quickly."""
    place = tmp_path_factory.mktemp("suite") / "venv"
    venv.create(place, symlinks=True)
    site = next(place.glob("lib/python3*/site-packages"))
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, site / name)
        else:
            shutil.copy(origin, site)
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve().parent.parent
    return Environment(python=place / "bin" / "python", key="own", read_only_paths=(place, base))


def _project(folder: Path, **files: str) -> Path:
    (folder / "tests").mkdir(parents=True)
    (folder / "calc.py").write_text("def add(a, b):\n    if a == 99:\n        return 0\n    return a + b\n")
    for name, text in files.items():
        (folder / "tests" / f"{name}.py").write_text(text)
    return folder


MIXED = """
import pytest, calc
def test_adds(): assert calc.add(1, 2) == 3
class TestIt:
    @pytest.mark.parametrize("n", [1, 2])
    def test_n(self, n): assert n == 1
@pytest.mark.skip(reason="not now")
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): raise OSError("no fixture")
def test_error(broken): pass
"""


def test_every_outcome_is_reported(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder = _project(tmp_path / "a project", test_mixed=MIXED)
    report = run_suite(folder, environment, sandbox, LIMITS)
    assert report.outcome == "failed"
    assert (report.passed, report.failed, report.error, report.skipped, report.xfailed) == (2, 1, 1, 1, 1)
    assert report.sandbox == sandbox.name
    by_id = {case.id: case for case in report.cases}
    assert by_id["tests/test_mixed.py::TestIt::test_n[2]"].outcome == "failed"
    assert "assert 2 == 1" in by_id["tests/test_mixed.py::TestIt::test_n[2]"].message
    assert by_id["tests/test_mixed.py::test_error"].outcome == "error"
    assert str(tmp_path) not in report.model_dump_json()
    assert report.summary() == "failed: 2 passed, 1 failed, 1 error, 1 skipped, 1 xfailed"


def test_the_workspace_is_not_touched(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    writing = (
        "from pathlib import Path\ndef test_w():\n    Path('litter').write_text('x'); Path('calc.py').write_text('')\n"
    )
    folder = _project(tmp_path / "p", test_w=writing)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert run_suite(folder, environment, sandbox, LIMITS).outcome == "passed"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("layout", ["src", "flat"])
def test_the_code_under_test_is_the_workspaces(
    tmp_path: Path, environment: Environment, sandbox: Sandbox, layout: str
) -> None:
    """``idna`` is installed in the environment; the workspace has another one, and that is the one to test."""
    folder = tmp_path / "p"
    package = folder / ("src/idna" if layout == "src" else "idna")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("WHOSE = 'workspace'\n")
    (folder / "tests").mkdir()
    code = "import idna, subprocess, sys\ndef test_whose():\n    assert idna.WHOSE == 'workspace'\n"
    code += "    subprocess.run([sys.executable, '-c', 'import idna; idna.WHOSE'], check=True)\n"
    (folder / "tests" / "test_whose.py").write_text(code)
    report = run_suite(folder, environment, sandbox, LIMITS)
    assert report.outcome == "passed", report.tail


def test_no_tests_is_an_outcome(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    report = run_suite(_project(tmp_path / "p"), environment, sandbox, LIMITS)
    assert report.outcome == "no_tests", report.tail


def test_a_module_that_cannot_be_collected_breaks_the_suite_but_others_count(
    tmp_path: Path, environment: Environment, sandbox: Sandbox
) -> None:
    folder = _project(tmp_path / "p", test_bad="import nothing_of_this_name", test_good="def test_a(): pass")
    report = run_suite(folder, environment, sandbox, LIMITS)
    assert report.outcome == "broken"
    assert (report.passed, report.error) == (1, 1)
    assert "tests/test_bad.py" in {case.id for case in report.cases}


def test_a_crash_is_broken(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder = _project(tmp_path / "p", test_crash="import os\ndef test_crash(): os.abort()")
    report = run_suite(folder, environment, sandbox, LIMITS)
    assert report.outcome == "broken"
    assert any("no report was written" in note for note in report.notes)


def test_timeout_and_cancelling(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder = _project(tmp_path / "p", test_slow="import time\ndef test_slow(): time.sleep(60)")
    assert run_suite(folder, environment, sandbox, Limits(wall_s=1.0)).outcome == "timeout"
    begun = time.monotonic()
    report = run_suite(folder, environment, sandbox, LIMITS, cancelled=lambda: time.monotonic() - begun > 0.5)
    assert report.outcome == "cancelled"


def test_options_of_a_missing_plugin_are_left_out_with_a_note(
    tmp_path: Path, environment: Environment, sandbox: Sandbox
) -> None:
    folder = _project(tmp_path / "p", test_a="def test_a(): pass")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --option-of-no-plugin=3\n")
    report = run_suite(folder, environment, sandbox, LIMITS)
    assert report.outcome == "passed"
    assert any("option-of-no-plugin" in note for note in report.notes)


def test_only_and_deselect(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder = _project(tmp_path / "p", test_a="def test_a(): pass\ndef test_b(): pass\ndef test_c(): pass")
    only = run_suite(folder, environment, sandbox, LIMITS, only=["tests/test_a.py::test_b"])
    assert [case.id for case in only.cases] == ["tests/test_a.py::test_b"]
    rest = run_suite(folder, environment, sandbox, LIMITS, deselect=["tests/test_a.py::test_b"])
    assert [case.id for case in rest.cases] == ["tests/test_a.py::test_a", "tests/test_a.py::test_c"]


def test_a_flaky_test_is_found_by_asking_again(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    flaky = "from pathlib import Path\ndef test_f():\n    p = Path('seen'); old = p.exists(); p.touch(); assert old\n"
    folder = _project(tmp_path / "p", test_f=flaky, test_a="def test_a(): pass")
    assert run_suite(folder, environment, sandbox, LIMITS).outcome == "failed"
    report = run_suite(folder, environment, sandbox, LIMITS, confirm=True)
    assert (report.outcome, report.passed, report.flaky) == ("passed", 2, 1)


def test_coverage_names_the_lines_that_did_not_run(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder = _project(tmp_path / "p", test_a="import calc\ndef test_a(): assert calc.add(1, 1) == 2")
    report = run_suite(folder, environment, sandbox, LIMITS, coverage=True)
    assert report.outcome == "passed"
    assert report.coverage_percent is not None, report.notes
    assert 50 < report.coverage_percent < 100
    (calc,) = [entry for entry in report.coverage if entry.path == "calc.py"]
    assert calc.missing == (3,)


def test_lines_are_told_while_it_runs(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    folder, heard = _project(tmp_path / "p", test_a="def test_a(): pass"), list[str]()
    run_suite(folder, environment, sandbox, LIMITS, on_output=heard.append)
    assert any("1 passed" in line for line in heard)


def test_a_folder_that_is_none_is_refused(tmp_path: Path, environment: Environment, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidInput):
        run_suite(tmp_path / "none", environment, sandbox, LIMITS)


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "yyyy">]><testsuites><testcase name="&x;"/></testsuites>'


@pytest.mark.parametrize(
    ("text", "why"), [(BOMB, "document type"), ("<a><b></a>", "not well-formed"), ("", "not well-formed")]
)
def test_a_hostile_report_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "r.xml").write_text(text)
    with pytest.raises(UnreadableReport, match=why):
        read_cases(tmp_path / "r.xml", root="/x")


def test_a_link_or_a_pipe_in_place_of_a_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.xml").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(UnreadableReport):
        read_cases(tmp_path / "link.xml", root="/x")
    with pytest.raises(UnreadableReport, match="no regular file"):
        read_cases(tmp_path / "pipe.xml", root="/x")


def _report(outcome: str, **cases: str) -> TestReport:
    told = [TestCase(id=name, outcome=how.removesuffix("~"), flaky=how.endswith("~")) for name, how in cases.items()]
    return TestReport(outcome=outcome, cases=tuple(told))


def test_as_green_as_it_was() -> None:
    before = _report("failed", a="passed", b="failed", c="skipped", d="passed", e="passed~", f="passed", g="passed")
    after = _report(
        "failed", a="passed", b="failed", c="failed", d="failed", e="failed", g="skipped", n="error", o="passed"
    )
    found = {r.id: (r.before, r.after) for r in after.worse_than(before)}
    assert found == {
        "c": ("skipped", "failed"),
        "d": ("passed", "failed"),
        "f": ("passed", "vanished"),
        "g": ("passed", "skipped"),
        "n": ("absent", "error"),
    }
    assert before.worse_than(before) == ()
    assert (
        _report("passed", a="passed", b="passed", c="passed", d="passed", f="passed", g="passed").worse_than(before)
        == ()
    )


def test_a_suite_cut_short_is_worse() -> None:
    (regression,) = _report("timeout").worse_than(_report("no_tests"))
    assert (regression.id, regression.before, regression.after) == ("<suite>", "no_tests", "timeout")
