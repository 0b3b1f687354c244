"""How quick the query templates are at scale, and how many rows of tables each one reads.

    python -m benchmarks.query_scale --rows 20000000 [--folder DIR] [--days 30] [--keep]

Fills chDB with missions made by the engine itself (50 events each, spread over the days before now), and asks every
template with its defaults, and some over the whole time. Prints the median and the worst of several runs in
milliseconds. ``--folder`` with data of an earlier run (``--keep``) is not filled again.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from projections.analytics.ddl import Layout
from projections.analytics.engine import ChdbEngine
from projections.analytics.queries.clickhouse import ClickHouseQueries
from projections.analytics.queries.port import Question, collect
from projections.analytics.queries.registry import template, templates
from projections.analytics.queries.sessions import OwnSessions
from projections.analytics.store import Store

TENANT = "acme"
_EVENTS = 50  # of a mission: submitted, planned, six tasks of seven events and three calls of a model, completed
_STEP = 2_000_000
_FILL = """
INSERT INTO {database}.events (sequence, idx, id, time, tenant, mission, noun, type, source, task,
    attempt, agent, worker, skill, tool, outcome, code, duration_s, model, tokens_in, tokens_out, cost, data)
WITH
    intDiv(number, 50) AS m,
    number % 50 AS k,
    ['mission.submitted', 'mission.planned', 'task.ready', 'action.dispatched', 'attempt.started', 'tool.called',
     'tool.called', 'attempt.finished', 'task.succeeded', 'llm.completed', 'mission.completed'] AS types,
    multiIf(k < 2, k + 1, k = 49, 11, k >= 44, 10, intDiv(k - 2, 6) + 3) AS t,
    k >= 2 AND k < 49 AS of_task,
    (k - 2) % 6 AS j,
    cityHash64(number) AS h,
    h % 50 = 0 AS wrong,
    ['analyzer', 'coder', 'tester', 'mender', 'reader', 'judge'][j + 1] AS part,
    toUInt64({days} * 86400e6 * (1 - number / {rows})) AS before_us
SELECT
    number + 1, 0, toString(generateUUIDv7(number)),
    toDateTime64('{until}', 6, 'UTC') - toIntervalMicrosecond(before_us),
    if(m % 20 = 0, 'other', '{tenant}'),
    concat('01970000-0000-7000-8000-', leftPad(lower(hex(m)), 12, '0')),
    splitByChar('.', types[t])[1], types[t], 'fill',
    if(of_task, concat('task-', toString(j), '-', toString(m % 50)), ''), of_task,
    if(t IN (5, 8, 10), part, ''), if(t IN (5, 8), concat('worker-', toString(h % 40)), ''),
    if(t IN (3, 4, 5, 8), part, ''), if(t IN (6, 7), concat('tool-', toString(h % 12)), ''),
    multiIf(t NOT IN (6, 7, 8, 10), '', wrong, 'failed', 'succeeded'),
    if(t = 8 AND wrong, concat('code_', toString(h % 7)), ''),
    if(t IN (5, 6, 7, 8, 10), (h % 100000) / 10000 * (j + 1), 0),
    if(t = 10, concat('model-', toString(h % 4)), ''), if(t = 10, h % 4000, 0), if(t = 10, h % 900, 0),
    if(t = 10, toDecimal64(h % 1000, 9) / 10000, toDecimal64(0, 9)),
    if(t = 1, '{{"workflow": "repair"}}', '{{}}')
FROM numbers({begin}, {count})
SETTINGS max_insert_threads = 1, max_partitions_per_insert_block = 0
"""
_WIDE = {
    "trends by day, all": ("trends", {"since": "begin", "bucket": "day"}),
    "agents, all": ("agents", {"since": "begin"}),
    "tools, all": ("tools", {"since": "begin"}),
    "slowest, all": ("slowest", {"since": "begin"}),
    "failing, all": ("failing", {"since": "begin"}),
    "errors, all": ("errors", {"since": "begin"}),
    "funnel, all": ("funnel", {"since": "begin"}),
    "llm by day, all": ("llm", {"since": "begin", "bucket": "day"}),
    "waiting by day, all": ("waiting", {"since": "begin", "bucket": "day"}),
    "costs, all": ("costs", {"since": "begin"}),
    "costs by mission, 1 d": ("costs", {"since": "1d", "by": "mission"}),
    "costs by mission, all": ("costs", {"since": "begin", "by": "mission"}),
}


def fill(store: Store, engine: ChdbEngine, rows: int, days: int) -> None:
    """Make the rows, unless they are there."""
    database = store.open().database
    have = int(engine.query(f"SELECT count() FROM {database}.events")[0][0])
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    began = time.monotonic()
    for begin in range(have, rows, _STEP):
        count = min(_STEP, rows - begin)
        values = {"database": database, "until": until, "rows": rows, "days": days, "tenant": TENANT}
        engine.command(_FILL.format(begin=begin, count=count, **values))
        done = begin + count - have
        print(f"\r{begin + count:,} rows, {done / (time.monotonic() - began):,.0f}/s", end="", flush=True)
    print()


def read_rows(engine: ChdbEngine, name: str, parameters: dict[str, Any]) -> int:
    """Rows that the engine has to look at, by its own estimate."""
    chosen = template(name)
    client = engine.connect("stigmergy_1")
    try:
        values = chosen.bind(parameters, TENANT, datetime.now(UTC))
        return sum(int(row[3]) for row in client.query(f"EXPLAIN ESTIMATE {chosen.sql}", parameters=values).result_rows)
    finally:
        client.close()


async def measure(queries: ClickHouseQueries, engine: ChdbEngine, runs: int, mission: str) -> None:
    """Ask everything, and print a table."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in templates()}
    asked["tasks"] = ("tasks", {"mission": mission})
    print(f"{'query':<24}{'median ms':>10}{'worst ms':>10}{'engine ms':>10}{'rows':>8}{'rows looked at':>16}")
    for label, (name, parameters) in {**asked, **_WIDE}.items():
        times, inside = [], []
        for _ in range(runs):
            began = time.perf_counter()
            answer = await collect(queries.ask(TENANT, Question(template=name, parameters=parameters)))
            times.append((time.perf_counter() - began) * 1000)
            inside.append(answer.elapsed_s * 1000)
        print(
            f"{label:<24}{statistics.median(times):>10.1f}{max(times):>10.1f}{statistics.median(inside):>10.1f}"
            f"{len(answer):>8,}{read_rows(engine, name, parameters):>16,}",
            flush=True,
        )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--optimize", action="store_true", help="merge all parts first, as time does")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stig-query-") as temporary:
        engine = ChdbEngine(options.folder or Path(temporary) / "chdb")
        fill(Store(engine, Layout(), "benchmark"), engine, options.rows, options.days)
        database = "stigmergy_1"
        if options.optimize:
            for (name,) in engine.query(f"SELECT name FROM system.tables WHERE database = '{database}'"):
                if not str(name).endswith("_view") and name != "events":
                    engine.command(f"OPTIMIZE TABLE {database}.{name} FINAL")
        mission = str(engine.query(f"SELECT mission FROM {database}.submissions ORDER BY time DESC LIMIT 1")[0][0])
        queries = ClickHouseQueries(OwnSessions(engine.connect), "stigmergy")
        asyncio.run(measure(queries, engine, options.runs, mission))
        engine.close()


if __name__ == "__main__":
    main()
