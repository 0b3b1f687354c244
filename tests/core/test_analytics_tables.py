"""The numbered SQL files: filled in for one server and for a cluster, from one source."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from projections.analytics.ddl import TABLES, Layout, create_database, migrations, pointer, windows
from schemas.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
ONE, MANY = Layout(raw_days=30, rollup_days=90), Layout(cluster="main")


def statements(layout: Layout) -> list[str]:
    return [s for each in (pointer(), *migrations()) for s in each.statements("db", layout)]


def test_files_are_numbered_without_a_gap() -> None:
    names = [each.name for each in (pointer(), *migrations())]
    assert [int(name[:4]) for name in names] == list(range(len(names)))
    assert len({each.digest for each in migrations()}) == len(migrations())


@pytest.mark.parametrize("layout", [ONE, MANY])
def test_nothing_is_left_to_fill_in_and_all_may_be_repeated(layout: Layout) -> None:
    for statement in statements(layout):
        assert not re.search(r"\$\w|\$\{|;", statement)
        assert re.match(r"CREATE (TABLE|MATERIALIZED VIEW) IF NOT EXISTS db\.\w+ ", statement), statement[:80]


def test_one_server_has_plain_tables() -> None:
    text = "\n".join(statements(ONE))
    assert not re.search(r"Replicated|ON CLUSTER|Distributed|_local", text)
    assert text.count("INTERVAL 30 DAY") == 1
    assert text.count("INTERVAL 90 DAY") == 5
    made = re.findall(r"CREATE TABLE IF NOT EXISTS db\.(\w+)", text)
    assert sorted(made) == sorted(["generations", "migrations", "progress", *TABLES])
    assert sorted(re.findall(r"VIEW IF NOT EXISTS db\.(\w+)_view +TO db\.(\w+) AS", text)) == sorted(
        (table, table) for table in TABLES if table != "events"
    )


def test_a_cluster_has_replicated_shards_and_one_table_over_them() -> None:
    made = statements(MANY)
    assert all("ON CLUSTER 'main'" in each for each in made)
    over = [re.search(r"db\.(\w+) ON .* AS db\.(\w+)\nENGINE = Distributed\('main', db, (\w+), ", s) for s in made]
    assert {found.groups() for found in over if found} == {(t, f"{t}_local", f"{t}_local") for t in TABLES}
    for statement in made:
        engine = re.search(r"ENGINE = (\w+)", statement)
        assert engine is None or engine[1].startswith(("Replicated", "Distributed"))
        # What feeds a view, and what a view feeds, is on the same shard.
        assert "VIEW" not in statement or set(re.findall(r"(?:TO|FROM) db\.\w+?(_local|\b)\s", statement)) == {"_local"}
    assert all("non_replicated" not in each for each in made)


def test_what_is_filled_from_what_is_there_is_made_anew_first() -> None:
    [days] = [each for each in migrations() if each.name == "0005_days"]
    one, many = days.backfills("db", ONE), days.backfills("db", MANY)
    assert len(one) == len(many) == days.text.count("\n-- backfilled: ")
    filled = [re.match(r"DROP TABLE IF EXISTS db\.(\w+) +SYNC", each.drop) for each in one]
    assert {found[1] for found in filled if found} == set(
        re.findall(r"TABLE IF NOT EXISTS \S+\.(\w+)\$local", days.text)
    )
    for each, clustered in zip(one, many, strict=True):
        # The months are those of the table that the view reads.
        source = re.fullmatch(r"SELECT DISTINCT toYYYYMM\((\w+)\) AS month FROM (db\.\w+) ORDER BY month", each.months)
        assert source is not None
        assert f"FROM (SELECT * FROM {source[2]} WHERE toYYYYMM({source[1]}) = {{month}})\nGROUP BY" in each.by_month
        # One process fills the shards by way of the tables over them; what is dropped is on every server.
        assert (clustered.months, clustered.by_month) == (each.months, each.by_month)
        assert re.match(r"DROP TABLE IF EXISTS db\.\w+_local ON CLUSTER 'main' SYNC", clustered.drop)


def test_names_cannot_smuggle_statements() -> None:
    for name in ("a b", "a;DROP", "", "1a", "a" * 64):
        with pytest.raises(InvalidInput, match="cannot be the name"):
            create_database(name, ONE)
    with pytest.raises(InvalidInput):
        create_database("db", Layout(cluster="x' y"))


def test_windows_name_what_is_in_use() -> None:
    found = windows("db", "db_2", ONE)
    assert len(found) == len(TABLES)
    assert "CREATE OR REPLACE VIEW db.missions  AS SELECT * FROM db_2.missions FINAL" in found


def test_the_module_prints_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "projections.analytics.ddl", "--cluster", "main", "--database", "acme"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "CREATE DATABASE IF NOT EXISTS acme_1 ON CLUSTER 'main';" in done.stdout
    assert done.stdout.count("ENGINE = Distributed") == len(TABLES)
