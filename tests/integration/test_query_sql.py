"""Own SQL: what it may do, and that nobody gets out of his tenant, over both ways to an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from projections.analytics.engine import open_engine
from projections.analytics.queries.clickhouse import ClickHouseQueries, Limits
from projections.analytics.queries.guard import _lists
from projections.analytics.queries.port import Question, collect
from projections.analytics.queries.registry import templates
from projections.analytics.queries.sessions import sessions_of
from schemas.errors import InvalidInput, LimitExceeded, Refused, StigmergyError, TimedOut
from tests.integration.query_bench import Bench, bench, needs_chdb
from tests.integration.query_history import MINE, THEIRS

needs_chdb()


@pytest.fixture(scope="module", params=["service", "server"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("sql"), request.param) as running:
        yield running


LET_THROUGH = [
    "SELECT tenant, mission FROM events",
    "SELECT tenant, any(mission) FROM attempts GROUP BY tenant",
    "SELECT e.tenant, m.mission FROM events AS e JOIN missions AS m ON m.mission = e.mission",
    "SELECT e.tenant, m.mission FROM missions AS m RIGHT JOIN events AS e USING (mission)",
    "SELECT mission, tenant FROM events UNION ALL SELECT mission, tenant FROM attempts UNION DISTINCT "
    "SELECT mission, tenant FROM missions",
    "SELECT mission FROM spend_hours INTERSECT SELECT mission FROM submissions",
    "SELECT * FROM (SELECT tenant, mission FROM (SELECT * FROM events WHERE 1))",
    "WITH events AS (SELECT 1 AS a) SELECT tenant, mission FROM missions",
    "WITH them AS (SELECT * FROM events WHERE tenant != 'acme') SELECT mission FROM them",
    "WITH 'umbrella' AS tenant SELECT mission FROM events",
    "SELECT 'acme' AS tenant, mission FROM events",
    "SELECT mission FROM events ARRAY JOIN ['acme'] AS tenant",
    "SELECT e.mission FROM (SELECT 'acme' AS tenant) AS t CROSS JOIN events AS e",
    "SELECT mission FROM events WHERE tenant = 'umbrella' OR 1",
    "SELECT mission FROM events PREWHERE tenant = 'umbrella' OR 1",
    "SELECT mission FROM missions FINAL",
    "SELECT mission FROM events QUALIFY row_number() OVER (PARTITION BY tenant ORDER BY sequence) < 3",
    "SELECT (SELECT groupArray(mission) FROM events)",
    "SELECT arrayMap(t -> (SELECT max(mission) FROM events), [1])",
    "SELECT mission FROM events WHERE mission GLOBAL IN (SELECT mission FROM missions)",
    "SELECT COLUMNS('mission|tenant') FROM events",
    "SELECT * EXCEPT (data) FROM events",
    "SELECT max(last).2 FROM failure_hours",
    "SELECT arrayJoin(groupArraySortedMerge(50)(slowest)).3 FROM slow_days",
    "WITH RECURSIVE r AS (SELECT mission, 1 AS n FROM events UNION ALL SELECT mission, n + 1 FROM r WHERE n < 2) "
    "SELECT * FROM r",
    "SELECT mission FROM `events` -- a comment\n/* and ; another */;",
    "FROM events SELECT mission",
    "EXPLAIN SELECT mission FROM events",
]
REFUSED = [
    "SELECT * FROM stigmergy_1.events",
    "SELECT * FROM stigmergy.events",
    "SELECT * FROM `stigmergy_1`.`events`",
    "SELECT * FROM events_view",
    "SELECT * FROM type_minutes_view",
    "SELECT * FROM progress",
    "SELECT * FROM merge('stigmergy_1', '.*')",
    "SELECT * FROM merge(currentDatabase(), 'events')",
    "SELECT * FROM mergeTreeIndex(currentDatabase(), 'events')",
    "SELECT * FROM mergeTreeProjection(currentDatabase(), 'events', 'x')",
    "SELECT * FROM remote('localhost', 'stigmergy_1', 'events')",
    "SELECT * FROM cluster('default', 'stigmergy_1', 'events')",
    "SELECT * FROM loop('stigmergy_1', 'events')",
    "SELECT * FROM view(SELECT * FROM events)",
    "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('x Int8'))",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SELECT * FROM file('{secret}', LineAsString)",
    "SELECT file('{secret}')",
    "SELECT FILE('{secret}')",
    "SELECT * APPLY(file) FROM (SELECT '{secret}')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT 1 FROM events GROUP BY file('{secret}')",
    "SELECT 1 FROM events ORDER BY file('{secret}')",
    "SELECT 1 FROM events LIMIT length(file('{secret}'))",
    "SELECT sum(1) OVER (PARTITION BY file('{secret}')) FROM events",
    "WITH file('{secret}') AS x SELECT x",
    "SELECT * FROM events JOIN file('{secret}', LineAsString) AS f ON 1",
    "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM executable('id', TSV, 'x String')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM input('x String')",
    "SELECT * FROM dictionary('d')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('stigmergy_1.events', 'mission', 1)",
    "SELECT * FROM system.tables",
    "SELECT * FROM `system`.`parts`",
    "SELECT * FROM INFORMATION_SCHEMA.TABLES",
    "SELECT 1 IN system.one",
    "SELECT 1 IN (system.one)",
    "SELECT ('x', 1) IN stigmergy_1.events",
    "SELECT 1 IN progress",
    "SELECT system.one.dummy FROM events",
    "SELECT * FROM events, system.users",
    "SELECT mission FROM events SETTINGS additional_table_filters = {{}}",
    "SELECT * FROM (SELECT * FROM events SETTINGS additional_table_filters = {{}})",
    "SELECT mission FROM events SETTINGS readonly = 0",
    "SELECT 1 UNION ALL SELECT 2 SETTINGS max_threads = 1",
    "SELECT mission FROM events INTO OUTFILE '{out}'",
    "SELECT mission FROM events INTO OUTFILE '{out}' FORMAT CSV",
    "SELECT 1 FORMAT CSV",
    "SELECT getSetting('additional_table_filters')",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(3) FROM events",
    "SELECT hostName()",
    "SELECT catboostEvaluate('{secret}', 1)",
    "SET readonly = 0",
    "USE system",
    "SHOW TABLES FROM system",
    "SHOW CREATE TABLE events",
    "DESCRIBE TABLE system.users",
    "DESCRIBE file('{secret}')",
    "EXPLAIN AST SELECT 1",
    "EXPLAIN ESTIMATE SELECT * FROM events",
    "EXPLAIN SELECT * FROM file('{secret}')",
    "EXPLAIN indexes = 1 SELECT 1",
    "INSERT INTO events SELECT * FROM events",
    "INSERT INTO FUNCTION file('{out}') SELECT 1",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "ALTER TABLE events DELETE WHERE 1",
    "DELETE FROM events WHERE 1",
    "TRUNCATE TABLE events",
    "DROP TABLE events",
    "OPTIMIZE TABLE events FINAL",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE events TO File('{out}')",
    "SELECT 1; DROP TABLE events",
    "SELECT 1; SELECT file('{secret}') INTO OUTFILE '{out}'",
    "SELECT 1 PARALLEL WITH DROP TABLE events",
    "SELECT 1 AS `a\\nFunction abs (alias b` , file('{secret}') AS `x)\\nFunction abs (alias y`",
    "SELECT * FROM `system.tables`",
    "SELECT * FROM {{table:Identifier}}",
    "SELECT nosuch FROM events",
    "SELECT * FROM nosuch",
    "SELECT (",
    "/* nothing */",
    "  ",
]


@pytest.mark.parametrize("sql", LET_THROUGH)
def test_what_is_let_through_shows_only_ones_own(made: Bench, sql: str) -> None:
    theirs = {fact.mission for fact in made.facts if fact.tenant == THEIRS}
    own = {fact.mission for fact in made.facts if fact.tenant == MINE}
    said = {text for row in made.ask(sql=sql) for value in row.values() for text in _texts(value)}
    assert not said & (theirs | {THEIRS})
    others = {text for row in made.ask(sql=sql, tenant="nobody") for value in row.values() for text in _texts(value)}
    assert not others & (theirs | own | {THEIRS})


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_refused(made: Bench, sql: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    secret, out = folder / "secret.txt", folder / "out.txt"
    secret.write_text("the secret of another tenant")
    asked = sql.format(secret=secret, out=out)
    given: dict[str, Any] = {"table": "system"} if "Identifier" in sql else {}
    with pytest.raises((Refused, InvalidInput)) as caught:
        made.ask(sql=asked, **given)
    assert "the secret" not in caught.value.message
    assert caught.value.hint
    assert not out.exists()


def test_the_tables_are_as_they_were(made: Bench) -> None:
    """Runs behind the attacks."""
    mine = sum(fact.tenant == MINE for fact in made.facts)
    assert made.ask(sql="SELECT count() AS n FROM events") == [{"n": mine}]
    assert made.ask(sql="SELECT sum(events) AS n FROM type_minutes") == [{"n": mine}]


def test_a_tenant_is_a_name_and_no_sql(made: Bench) -> None:
    for tenant in ("a' OR 1 --", "", "a.b", "*"):
        with pytest.raises(InvalidInput):
            made.ask(sql="SELECT 1", tenant=tenant)


def test_values_come_as_they_are_whichever_way(made: Bench) -> None:
    [row] = made.ask(
        sql="SELECT toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC') AS precise, "
        "toDateTime('2026-01-02 03:04:05') AS t, toDate('2026-01-02') AS d, toDecimal64('1.50', 2) AS money, "
        "toUInt64(18446744073709551615) AS big, "
        "toUInt128('340282366920938463463374607431768211455') AS huge, NULL AS nothing, true AS yes, [1, 2] AS list, "
        "map('a', 1.5) AS mapped, tuple(1, 'x') AS pair, 'ü\\n' AS text, toIPv4('1.2.3.4') AS ip, "
        "toNullable(toDecimal32('2.5', 1)) AS maybe"
    )
    assert row == {
        "precise": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "t": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "d": date(2026, 1, 2), "money": Decimal("1.50"), "big": 2**64 - 1, "huge": str(2**128 - 1),
        "nothing": None, "yes": True, "list": [1, 2], "mapped": {"a": 1.5}, "pair": [1, "x"], "text": "ü\n",
        "ip": "1.2.3.4", "maybe": Decimal("2.5"),
    }  # fmt: skip


def test_parameters_are_values(made: Bench) -> None:
    sql = "SELECT {name:String} AS name, {n:UInt32} + 1 AS n, count() AS found FROM events WHERE type = {name:String}"
    assert made.ask(sql=sql, name="x' OR 1 --", n=2) == [{"name": "x' OR 1 --", "n": 3, "found": 0}]
    with pytest.raises(InvalidInput, match="none of the parameters"):
        made.ask(sql="SELECT 1", name="x")
    with pytest.raises(InvalidInput, match="x"):
        made.ask(sql="SELECT {x:UInt8}")
    assert made.ask(sql="SELECT '100%' AS a WHERE 'abc' LIKE 'a%'") == [{"a": "100%"}]


def test_a_long_answer_is_cut_and_says_so(made: Bench) -> None:
    answer = made.ask(sql="SELECT number, repeat('x', 100) AS text FROM numbers(30000)", rows=20_000)
    assert (len(answer), answer.cut) == (20_000, True)
    assert [row["number"] for row in answer] == list(range(20_000))
    whole = made.ask(sql="SELECT number FROM numbers(500)", rows=500)
    assert (len(whole), whole.cut) == (500, False)
    none = made.ask(sql="SELECT 1 AS a, 2 AS b, 3 AS c WHERE 0", rows=1)
    assert (none, [column.name for column in none.columns], none.cut) == ([], ["a", "b", "c"], False)
    with pytest.raises(InvalidInput, match="limit"):
        made.ask(sql="SELECT 1", rows=0)


def test_a_row_too_large_for_a_message(made: Bench) -> None:
    sql = "SELECT repeat('x', 1000000) AS a"
    if made.settings.clickhouse_url is not None:
        assert len(made.ask(sql=sql)[0]["a"]) == 1_000_000
    else:
        with pytest.raises(LimitExceeded, match="bytes"):
            made.ask(sql=sql)


def test_no_template_reads_raw_events(made: Bench) -> None:
    if made.settings.clickhouse_url is None:
        pytest.skip("plans are asked of the server")
    engine = open_engine(made.settings.clickhouse_url.get_secret_value())
    client = engine.connect("stigmergy_1")
    try:
        for name, one in templates().items():
            for since in ("begin", "1h"):
                given = {"since": since} if any(p.name == "since" for p in one.parameters) else {"mission": "m"}
                values = one.bind(given, MINE, datetime.now(UTC))
                plan = "\n".join(row[0] for row in client.query(f"EXPLAIN {one.sql}", parameters=values).result_rows)
                assert "ReadFromMergeTree (stigmergy_1." in plan or "ReadFromPreparedSource" in plan, name
                assert "stigmergy_1.events)" not in plan, name
    finally:
        client.close()


def test_limits_of_time_and_memory(made: Bench) -> None:
    if made.settings.clickhouse_url is None:
        pytest.skip("the limits of the service are its own")
    engine = open_engine(made.settings.clickhouse_url.get_secret_value())

    def ask(sql: str, limits: Limits) -> Any:
        queries = ClickHouseQueries(sessions_of(engine), engine.database, limits=limits)
        return asyncio.run(collect(queries.ask(MINE, Question(sql=sql))))

    with pytest.raises(TimedOut):
        ask("SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1", Limits(seconds=0.2))
    with pytest.raises(LimitExceeded):
        ask("SELECT groupArray(number) FROM numbers(100000000)", Limits(memory_bytes=20_000_000))
    with pytest.raises(LimitExceeded):
        ask("SELECT concat(toString(number), repeat('x', 1000)) FROM numbers(9000)", Limits(result_bytes=1_000_000))


def test_the_list_of_functions_names_harmless_ones(made: Bench) -> None:
    if made.settings.clickhouse_url is None:
        pytest.skip("functions are asked of the server")
    engine = open_engine(made.settings.clickhouse_url.get_secret_value())
    rows = engine.query("SELECT name, categories, alias_to, is_aggregate FROM system.functions")
    known = {str(name): (str(kinds), str(alias)) for name, kinds, alias, _ in rows}
    ordinary, aggregate = _lists()["ordinary"], _lists()["aggregate"]
    dangerous = {"AI", "Dictionary", "Embedded Dictionary", "Machine Learning", "Introspection", "Time Series"}
    for name, (kinds, alias) in known.items():
        if name.lower() in ordinary:
            assert known.get(alias, (kinds, ""))[0] not in dangerous, name
    assert ordinary - {"lambda", "exists"} <= {name.lower() for name in known}
    assert aggregate <= {str(name).lower() for name, *_, is_aggregate in rows if is_aggregate} | {
        str(name).lower() for name, _, alias, _ in rows if alias
    }
    for name in (
        "file",
        "getSetting",
        "hostName",
        "sleep",
        "throwIf",
        "catboostEvaluate",
        "chdb",
        "structureToCapnProtoSchema",
    ):
        assert name.lower() not in ordinary | aggregate
    engine.close()


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def test_errors_do_not_tell_of_the_filters(made: Bench) -> None:
    with pytest.raises(StigmergyError) as caught:
        made.ask(sql="SELECT nosuch FROM events WHERE alsono = 1")
    assert "additional_table_filters" not in caught.value.message
    assert "nosuch" in caught.value.message or "alsono" in caught.value.message
