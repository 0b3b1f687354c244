"""Many days of events, made of one: the rows of a day as ClickHouse makes them, and how a day is copied to another.

A day of the team is alike to the next but for its times, its sequences and the ids of its missions. The views group by
minutes, hours, days and missions, and none of these reaches over midnight: so what they make of a day that was moved is
what they made of the day, moved. That holds for every table but one, whose sketch hashes ids; it is made anew.
``tests/integration/test_analytics_benchmark.py`` compares with days that went through the views.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

EVENTS = 50  # of a mission: submitted, planned, six tasks of seven events and three calls of a model, completed
TENANT = "acme"

_ROWS = """
INSERT INTO {database}.events (sequence, idx, id, time, tenant, mission, noun, type, source, subject, task,
    attempt, agent, worker, skill, tool, outcome, code, duration_s, model, tokens_in, tokens_out, cost,
    causationid, correlationid, dataversion, data, defects)
WITH
    intDiv(number, 50) AS m,
    number % 50 AS k,
    ['mission.submitted', 'mission.planned', 'task.ready', 'action.dispatched', 'attempt.started', 'tool.called',
     'tool.called', 'attempt.finished', 'task.succeeded', 'llm.completed', 'mission.completed'] AS types,
    multiIf(k < 2, k + 1, k = 49, 11, k >= 44, 10, intDiv(k - 2, 6) + 3) AS t,
    k >= 2 AND k < 44 AS of_task,
    (k - 2) % 6 AS j,
    cityHash64(number) AS h,
    h % 50 = 0 AS wrong,
    ['analyzer', 'coder', 'tester', 'mender', 'reader', 'judge'][j + 1] AS part,
    leftPad(lower(hex(m)), 12, '0') AS told
SELECT
    {first} + number, 0,
    concat('01a2{day:04x}-', leftPad(lower(hex(number)), 12, '0'), '-8000-000000000000'),
    toDateTime64('{date} 00:00:00', 6, 'UTC') + toIntervalMicrosecond(intDiv(number * 86400000000, {rows})),
    if(m % 20 = 0, 'other', '{tenant}'), concat('0197{day:04x}-0000-7000-8000-', told) AS named,
    splitByChar('.', types[t])[1], types[t], concat('/worker/host-', toString(h % 40)),
    if(of_task, concat('task-', toString(j), '-', toString(m % 50)), '') AS task_id, task_id, of_task,
    if(t IN (5, 8, 10), part, ''), if(t IN (5, 8), concat('worker-', toString(h % 40)), ''),
    if(t IN (3, 4, 5, 8), part, ''), if(t IN (6, 7), concat('tool-', toString(h % 12)), ''),
    multiIf(t NOT IN (6, 7, 8, 10), '', wrong, 'failed', 'succeeded'),
    if(t = 8 AND wrong, concat('code_', toString(h % 7)), ''),
    if(t IN (5, 6, 7, 8, 10), (h % 100000) / 10000 * (j + 1), 0),
    if(t = 10, concat('model-', toString(h % 4)), ''), if(t = 10, h % 4000, 0), if(t = 10, h % 900, 0),
    if(t = 10, toDecimal64(h % 1000, 9) / 10000, toDecimal64(0, 9)),
    '', named, 1,
    if(t = 1, '{{"workflow":"repair","objective":"make the tests pass"}}',
        concat('{{"task":"', task_id, '","attempt":1,"text":"what was thought and done about ', toString(h % 1000),
            '"}}')),
    ''
FROM numbers({rows})
SETTINGS max_insert_threads = 1, max_threads = {threads}, max_partitions_per_insert_block = 0
"""

_LAST = "CAST((last.1 + {later}, {last}), toTypeName(last))"
_COPIED: dict[str, dict[str, str]] = {
    "events": {"sequence": "sequence + {ahead}", "id": "{id}", "correlationid": "{mission}"},
    "type_minutes": {},
    "agent_minutes": {},
    "tool_minutes": {},
    "spend": {"first_at": "first_at + {later}", "last_at": "last_at + {later}"},
    "attempts": {f"{name}_at": f"{name}_at + {{later}}" for name in ("ready", "dispatched", "started", "finished")},
    "missions": {
        **{f"{name}_at": f"{name}_at + {{later}}" for name in ("submitted", "planned", "started")},
        "ended": "if(ended.1 = 0, ended, CAST((ended.1 + {ahead}, ended.2 + {later}, ended.3), toTypeName(ended)))",
        "reopened": "if(reopened = 0, 0, reopened + {ahead})",
    },
    "type_hours": {},
    "agent_hours": {},
    "tool_hours": {},
    "queue_minutes": {},
    "queue_hours": {},
    "failure_hours": {"last": _LAST},
    "slow_hours": {"slowest": "{slowest}"},
    "slow_days": {"slowest": "{slowest}"},
    "submissions": {},
    "spend_minutes": {},
    "spend_hours": {},
    "agent_days": {},
    "tool_days": {},
    "queue_days": {},
    "failure_days": {"last": _LAST},
    "spend_days": {},
    "llm_hours": {},
}
"""What a table's columns become, beyond ``mission``, ``time``, ``minute``, ``hour`` and ``day``."""
_MOVED = {name: f"{name} + {{later}}" for name in ("time", "minute", "hour", "day")} | {"mission": "{mission}"}

FIRST_TIME = {
    **{table: name for table in _COPIED for name in _MOVED if table.endswith(f"_{name}s")},
    "started_hours": "hour",
    "events": "time",
    "spend": "first_at",
    "attempts": "ready_at",
    "missions": "submitted_at",
    "submissions": "time",
}
"""The column of each table by which it is told of which day a row is."""

_STARTED = """
INSERT INTO {to}.started_hours SELECT tenant, toStartOfHour(started_at + {later}) AS hour,
    uniqCombined64State(14)({mission}) AS missions
FROM {of}.attempts WHERE started_at IS NOT NULL GROUP BY tenant, hour SETTINGS {settings}
"""


@dataclass(frozen=True)
class Days:
    """So many days up to ``last``, each of so many rows, a multiple of :data:`EVENTS`."""

    days: int
    rows: int
    last: date
    threads: int = 1

    def begin(self, day: int) -> date:
        """When a day is."""
        return self.last - timedelta(days=self.days - 1 - day)

    def fill(self, database: str, day: int) -> str:
        """The statement that makes a day's rows, 0 being the first, for the views to see."""
        values = {"database": database, "tenant": TENANT, "rows": self.rows, "threads": self.threads}
        return _ROWS.format(first=day * self.rows + 1, day=day, date=self.begin(day).isoformat(), **values)

    def copies(self, of: str, to: str, base: int, day: int, columns: dict[str, list[str]]) -> list[tuple[str, str]]:
        """Tables and the statements that fill them, for views that are detached.

        Args:
            of: the database of the day that is copied; it has nothing else, and is merged.
            base: the number of that day.
            columns: the names of each table's columns.
        """
        later = f"toIntervalDay({day - base})"
        mission = f"concat('0197{day:04x}', substring({{0}}, 9))"
        whole = "x.4, x.5, x.6, x.7, x.8, x.9"
        moved = f"arrayMap(x -> (x.1, x.2 + {later}, {mission.format('x.3')}, {whole}), finalizeAggregation(slowest))"
        values = {
            "later": later,
            "ahead": f"toInt64({(day - base) * self.rows})",
            "mission": mission.format("mission"),
            "last": mission.format("last.2"),
            "id": f"concat('01a2{day:04x}', substring(id, 9))",
            # The state of the fifty least of a group is made of the fifty that an earlier state gives, moved.
            "slowest": f"arrayReduce('groupArraySortedState(50)', {moved})",
        }
        # One block of a few million rows: few parts, and memory for them.
        settings = (
            f"max_threads = {self.threads}, max_insert_threads = 1, insert_deduplicate = 0, "
            "max_partitions_per_insert_block = 0, min_insert_block_size_rows = 2500000, min_insert_block_size_bytes = 0"
        )
        made = []
        for table, changes in _COPIED.items():
            wanted = {**_MOVED, **changes}
            shown = [wanted[name].format(**values) if name in wanted else name for name in columns[table]]
            # Named as before they would be taken for what they are made of: `time` in `time + 1 day` and so on.
            listed = ", ".join(columns[table])
            into = f"INSERT INTO {to}.{table} ({listed}) SELECT {', '.join(shown)} FROM {of}.{table}"
            made.append((table, f"{into} SETTINGS {settings}"))
        made.append(("started_hours", _STARTED.format(to=to, of=of, settings=settings, **values)))
        return made
