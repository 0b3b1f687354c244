"""``stig query`` and the Python API over a running system, and what they say when nothing runs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import InvalidInput, Unavailable
from stigmergy import Client, SyncClient
from stigmergy.cli.main import run
from stigmergy.local.ephemeral import nats_server
from stigmergy.settings import Settings
from tests.integration.query_bench import ROOT, Bench, bench, needs_chdb
from tests.integration.query_history import SINCE, UNTIL, Judge

needs_chdb()
BEGINNING = SINCE["hours and minutes alone"]
WINDOW = ("--since", BEGINNING.isoformat(), "--until", UNTIL.isoformat())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("cli"), "service") as running:
        yield running


@pytest.fixture
def stig(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in made.settings.environment().items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str, code: int = 0) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = run(["query", *arguments])
        assert ended == code, err.getvalue()
        return out.getvalue(), err.getvalue()

    return command


def test_tables_json_and_csv_say_the_same(made: Bench, stig: Any) -> None:
    judged = Judge(made.facts, BEGINNING).groups("attempt.finished", "agent")
    document = json.loads(stig("agents", *WINDOW, "--json")[0])
    assert {row["agent"]: row["attempts"] for row in document["rows"]} == {name: len(a) for name, a in judged.items()}
    assert {"name": "p95_s", "type": "Float64", "unit": "s"} in document["columns"]
    assert document["cut"] is False
    rows = list(csv.DictReader(io.StringIO(stig("agents", *WINDOW, "--csv")[0])))
    assert [(row["agent"], float(row["p95_s"])) for row in rows] == [(r["agent"], r["p95_s"]) for r in document["rows"]]
    header, *lines = stig("agents", *WINDOW)[0].splitlines()
    assert header.split() == (
        ["agent", "attempts", "errors", "errors", "%", "p50", "s", "p95", "s", "p99", "s", "longest", "s", "busy", "s"]
    )
    assert [line.split()[0] for line in lines] == [row["agent"] for row in document["rows"]]


def test_charts(stig: Any) -> None:
    bars = stig("agents", *WINDOW, "--chart")[0]
    assert "editor" in bars
    assert "█" in bars
    line = stig("trends", *WINDOW, "--by", "all", "--chart")[0]
    assert "2026-03-02 0" in line
    assert len(line.splitlines()) == 10
    assert "█" in line
    several = stig("waiting", *WINDOW, "--bucket", "hour", "--chart")[0]
    assert all(skill in several for skill in ("edit", "test", "review"))
    own = stig("sql", "SELECT type, count() AS n FROM events GROUP BY type ORDER BY n DESC", "--chart")[0]
    assert "task.ready" in own
    _, said = stig("sql", "SELECT 'a' AS a", "--chart", code=2)
    assert "nothing to draw" in said


def test_sql_with_parameters_and_a_limit(stig: Any) -> None:
    sql = "SELECT type FROM events WHERE type = {kind:String}"
    out, said = stig("sql", sql, "--param", "kind=task.ready", "--limit", "3")
    assert out.splitlines()[1:] == ["task.ready"] * 3
    assert "cut after 3 rows" in said
    assert "nothing was found" in stig("sql", sql, "-p", "kind=no")[0]


def test_a_mission_by_the_beginning_of_its_id_or_as_last(made: Bench, stig: Any) -> None:
    newest = json.loads(stig("missions", "--limit", "1", "--json")[0])["rows"][0]["mission"]
    assert stig("tasks", "-m", "last", "--csv") == stig("tasks", "--mission", newest, "--csv")
    whole = next(f.mission for f in Judge(made.facts, BEGINNING).all if f.type == "attempt.finished")
    rows = json.loads(stig("tasks", "--mission", whole[:-1], "--json")[0])["rows"]
    assert rows == json.loads(stig("tasks", "--mission", whole, "--json")[0])["rows"] != []
    _, said = stig("tasks", "--mission", "zzz", code=2)
    assert "there is no mission 'zzz'" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sql", "DROP TABLE events"), 1, "may not use DROP"),
        (("sql", "SELECT nosuch FROM events"), 2, "nosuch"),
        (("sql", "SELECT file('/etc/hostname')"), 1, "the function file"),
    ],
)
def test_refusals_reach_the_terminal(stig: Any, arguments: tuple[str, ...], code: int, said: str) -> None:
    _, err = stig(*arguments, code=code)
    assert said in err
    assert "hint:" in err


def test_watching_goes_on_until_it_is_told_to_end(made: Bench) -> None:
    command = [sys.executable, "-m", "stigmergy.cli", "query", "agents", "--since", "begin", "--watch", "0.5"]
    with subprocess.Popen(command, env=made.environment(), stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            seen = 0
            while seen < 2:
                line = process.stdout.readline()
                assert line, "it ended by itself"
                seen += "attempts" in line
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(30) == 130
        finally:
            process.kill()


async def test_the_client_asks_as_well(made: Bench) -> None:
    judged = Judge(made.facts, BEGINNING)
    async with Client(made.settings) as client:
        tools = await client.query("tools", since=BEGINNING, until=UNTIL)
        assert {row["tool"]: row["calls"] for row in tools} == {
            name: len(calls) for name, calls in judged.groups("tool.called", "tool").items()
        }
        kinds = await client.sql("SELECT count() AS n FROM events WHERE type = {t:String}", t="task.ready", rows=1)
        assert kinds == [{"n": sum(fact.type == "task.ready" for fact in judged.all)}]
        with pytest.raises(InvalidInput, match="no query"):
            await client.query("agent")
        with pytest.raises(InvalidInput, match="since"):
            await client.query("tools", since="soon")
        answers = await asyncio.gather(*(client.query("agents", since="begin") for _ in range(10)))
        assert all(list(answer) == list(answers[0]) for answer in answers)


def test_the_blocking_client_asks_as_well(made: Bench) -> None:
    with SyncClient(made.settings) as client:
        assert client.query("funnel", since="begin")[0]["stage"] == "submitted"
        assert client.sql("SELECT 1 AS one") == [{"one": 1}]


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with nats_server(tmp_path / "nats") as nats:
        settings = Settings(nats_url=nats.url, state_dir=tmp_path / "state")
        for name, value in settings.environment().items():
            monkeypatch.setenv(name, value)
        assert run(["query", "agents"]) == 3
        said = capsys.readouterr().err
        assert "no process answers queries" in said
        assert "stig serve analytics" in said
        with SyncClient(settings) as client, pytest.raises(Unavailable):
            client.query("agents")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STIGMERGY_CLICKHOUSE_URL", "clickhouse://user:secret@127.0.0.1:1/stigmergy")
    assert run(["query", "agents"]) == 3
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "STIGMERGY_CLICKHOUSE_URL" in said
