"""The command line without a stack: help, versions, errors and their exit codes, quick start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from schemas.errors import Cancelled, Conflict, InvalidWorkflow, LogUnavailable, StigmergyError, ToolMissing
from stigmergy.cli import endings
from stigmergy.cli.main import app, run

COMMANDS = [
    (), ("run",), ("run", "repair"), ("run", "hello"), ("mission",), ("mission", "list"), ("mission", "show"),
    ("mission", "events"), ("mission", "pause"), ("mission", "resume"), ("mission", "cancel"), ("mission", "retry"),
    ("mission", "answer"), ("mission", "violations"),
    ("replay",), ("fork",), ("diff",), ("ab",), ("query",), ("stop",), ("resume",),
    ("events",), ("events", "tail"), ("events", "publish"), ("events", "dead"), ("events", "retry"), ("dev",),
    ("status",), ("down",), ("workers",), ("workers", "start"), ("workers", "list"),
    ("workers", "inspect"), ("workers", "skills"), ("explain",), ("workers", "drain"), ("workers", "scale"),
    ("serve",), ("leaders",), ("schema",),
    ("schema", "export"), ("schema", "list"), ("doctor",), ("archive",),
    ("archive", "status"), ("archive", "verify"), ("archive", "restore"), ("archive", "compact"),
    ("archive", "repair"), ("archive", "retention"), ("archive", "blobs"), ("archive", "put-back"),
    ("projections",), ("projections", "list"), ("projections", "rebuild"),
    ("ballot",), ("ballot", "list"), ("ballot", "show"), ("ballot", "open"), ("ballot", "vote"), ("ballot", "settle"),
    ("world",), ("world", "show"), ("world", "files"), ("world", "tests"), ("world", "agents"), ("world", "check"),
]  # fmt: skip
GROUPS = {
    (),
    ("mission",),
    ("ballot",),
    ("events",),
    ("workers",),
    ("schema",),
    ("archive",),
    ("projections",),
    ("world",),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STIGMERGY_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_helps(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("Usage: stig ")
    assert command in GROUPS or "Example" in shown.out


def test_no_command_is_without_a_test_of_its_help() -> None:
    def leaves(group: typer.core.TyperGroup, path: tuple[str, ...]) -> set[tuple[str, ...]]:
        found = set()
        for name, command in group.commands.items():
            here = (*path, name)
            found |= leaves(command, here) if isinstance(command, typer.core.TyperGroup) else {here}
        return found

    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    assert leaves(root, ()) - {("run", "workflow")} <= set(COMMANDS)


def test_without_a_command_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Begin here:" in capsys.readouterr().out
    assert run(["mission"]) == 0
    assert "retry" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("stigmergy ")


def test_help_imports_nothing_heavy() -> None:
    heavy = ("nats", "celery", "libcst", "pydantic", "redis")
    program = f"""
import sys
from stigmergy.cli.main import run
assert run(["--help"]) == 0
found = [name for name in {heavy!r} if name in sys.modules]
sys.exit(f"imported: {{found}}" if found else 0)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "code", "error", "hint"),
    [
        ("frob", 2, "No such command 'frob'", "stig --help"),
        ("missions list", 2, "Did you mean 'mission'", "stig --help"),
        ("mission show", 2, "Missing argument 'ID'", "stig mission show --help"),
        ("dev --workers 0", 2, "--workers", "stig dev --help"),
        ("dev --import no_such_module", 2, "cannot import 'no_such_module'", "install its package"),
        ("mission list", 3, "no NATS is configured", "stig dev --detach"),
        ("workers list", 3, "no NATS is configured", "stig dev --detach"),
        ("workers start --skills fly", 2, "no agent has the skill 'fly'", "--import"),
        ("workers start --sandbox paper", 2, "no sandbox 'paper'", "choose one of"),
        ("serve queen", 2, "no role 'queen'", "orchestrator"),
        ("events tail --since soon", 2, "'soon' is no time", "10m"),
        ("dev --with archive,nope", 2, "there is no optional role 'nope'", "there are"),
        ("events publish no-such-file", 2, "cannot read no-such-file", "path"),
        ("mission events last --timeline --json", 2, "--timeline", "choose"),
        ("mission events last --lanes bowling", 2, "'bowling'", "task, agent, worker"),
        ("query", 2, "Missing argument 'NAME'", "stig query --help"),
        ("query agent", 2, "no query 'agent'", "did you mean agents"),
        ("query agents --since soon", 2, "'soon' does not fit the parameter since", "10m"),
        ("query agents --param skill", 2, "'skill' is no parameter", "KEY=VALUE"),
        ("query agents --by tool", 2, "no parameter 'by'", "stig query list agents"),
        ("query agents --since 1h --param since=2h", 2, "given twice", "leave one"),
        ("query agents --json --csv", 2, "exclude one another", "choose one"),
        ("query agents --json --watch 1", 2, "--watch", "leave --json"),
        ("query tasks", 2, "which mission?", "--mission last"),
        ("query sql", 2, "there is no SQL", "SELECT count()"),
        ("query list nothing", 2, "no query 'nothing'", "stig query list"),
        ("query agents", 3, "no NATS is configured", "stig dev --detach"),
        ("replay last", 3, "no NATS is configured", "stig dev --detach"),
        ("replay no-such-file.ndjson", 2, "cannot read no-such-file.ndjson", "path"),
        ("replay last --speed fast", 2, "'fast' is no speed", "max"),
        ("replay last --at 1 --to tenant:demo", 2, "--at", "choose one"),
        ("diff a.ndjson b.ndjson", 2, "cannot read a.ndjson", "path"),
        ("run --input x=1", 2, "name one workflow", "stig run hello"),
        ("run no-such-file.yaml", 2, "no file no-such-file.yaml", "path"),
        ("run hello --input names", 2, "'names' is no input", "KEY=VALUE"),
        ("run hello --input nmes=[]", 2, "'nmes'", "names"),
        ("run hello --input names=Ada", 2, "not of type array", "array"),
        ("run hello --budget cost", 2, "'cost' is no budget", "--budget UNIT=LIMIT"),
        ("run hello --budget cost=much", 2, "'much' is no number", "cost=2.5"),
        ("run hello --budget cost=-2", 2, "a budget of -2 cost cannot be", "above 0"),
        ("run hello --budget cost=nan", 2, "a budget of nan cost cannot be", "above 0"),
        ("run hello --budget tokens=1.5", 2, "a budget of 1.5 tokens cannot be", "a whole number"),
        ("run hello --budget apples=3", 2, "there is no budget of 'apples'", "cost, tokens"),
        ("mission resume last --budget cost=0", 2, "a budget of 0 cost cannot be", "above 0"),
        ("run repair no-such-folder", 2, "does not exist", "pypi:NAME"),
        ("run repair pypi:x --apply", 2, "--apply needs a folder", "leave --apply out"),
        ("run repair . --output no/such/place.patch", 2, "no folder no/such", "--output"),
    ],
)
def test_errors_name_cause_and_mend(
    command: str, code: int, error: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.split()) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    said, mend = shown.err.split("hint: ")
    assert said.startswith("error: ")
    assert error in said
    assert hint in mend


def test_a_broken_template_is_told_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("workflow: mine\ntasks:\n  a: {skill: echo, needs: [b]}\n")
    assert run(["run", "mine.yaml"]) == 2
    assert "mine.yaml:3:" in capsys.readouterr().err


def test_wrong_settings_are_told_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STIGMERGY_NATS_URL", "http://secret@example")
    assert run(["status"]) == 2
    shown = capsys.readouterr().err
    assert "STIGMERGY_NATS_URL" in shown
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidWorkflow("x"), 2),
        (LogUnavailable("x"), 3),
        (ToolMissing("x"), 3),
        (Conflict("x"), 1),
        (Cancelled("x"), 1),
        (StigmergyError("x"), 1),
    ],
)
def test_exit_codes(error: StigmergyError, code: int) -> None:
    assert endings.exit_code_of(error) == code


def test_a_flaw_becomes_a_crash_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a flaw")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("stigmergy.cli.checks.check_all", broken)
    assert run(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    [log] = tmp_path.glob("stig-crash-*.log")
    assert str(log) in said
    assert "ZeroDivisionError: a flaw" in log.read_text()
    monkeypatch.setenv("STIGMERGY_DEBUG", "1")
    assert run(["doctor"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stigmergy.cli.checks.check_all", interrupted)
    assert run(["doctor"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_status_and_down_where_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 0
    assert "nothing runs" in capsys.readouterr().out
    assert run(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
    assert run(["down"]) == 0
    assert "nothing runs" in capsys.readouterr().out


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--json"])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert checks["python"]["state"] == "ok"
    assert (code == 1) == any(one["state"] == "fail" for one in checks.values())
    assert checks["stack"]["state"] == "warn"
    assert all(one["mend"] for one in checks.values() if one["state"] != "ok")


def test_schema_export_and_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "export", "out"]) == 0
    assert (tmp_path / "out" / "asyncapi.yaml").is_file()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    assert run(["schema", "export", "package"]) == 2
    capsys.readouterr()
    assert run(["schema", "list", "--json"]) == 0
    types = {one["type"]: one for one in json.loads(capsys.readouterr().out)}
    assert types["task.failed"]["writer"] == "orchestrator"
    assert types["note.posted"]["writer"] == "client"
