"""The statements that make the tables, from the numbered files in ``infra/clickhouse``.

They travel in the wheel as ``projections/analytics/sql``; a checkout reads them where operators do.
``python -m projections.analytics.ddl [--cluster NAME]`` prints them for a server that people administrate themselves.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from schemas.errors import InvalidInput, ToolMissing

TABLES = (
    *("events", "type_minutes", "agent_minutes", "tool_minutes", "spend", "attempts", "missions"),
    *("type_hours", "agent_hours", "tool_hours", "queue_minutes", "queue_hours", "failure_hours"),
    *("slow_hours", "slow_days", "submissions", "started_hours", "spend_minutes", "spend_hours"),
    *("agent_days", "tool_days", "queue_days", "failure_days", "spend_days", "llm_hours"),
)
"""What is read; ``<name>_view`` feeds all but the first."""
_FINAL = ("attempts", "missions")
WINDOW = 10_000
"""So many inserted blocks of a table are remembered; a range that is inserted again is known for as long."""
_WINDOW_S = 30 * 24 * 3600
_FILE = re.compile(r"\d{4}_[a-z_]+\.sql")
_SHARDED = re.compile(r"^-- sharded: (\w+) by (.+)$", re.MULTILINE)
_BACKFILLED = re.compile(r"^-- backfilled: (\w+) from (\w+) by (\w+)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Layout:
    """How tables are made.

    Attributes:
        raw_days: after how many days events go.
        rollup_days: after how many days what is kept by the minute goes.
        cluster: the cluster's name in the server's configuration; None for one server.
    """

    raw_days: int = 400
    rollup_days: int = 1830
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """A table that is filled from what is there when its file is applied.

    Attributes:
        drop: removes what an application that was cut short may have left. The table is dropped and not emptied: rows
            that such a one still inserts somewhere go with it.
        months: asks for the months that there is something of, as whole numbers: 202611.
        by_month: the statement that fills in one month, which stands for ``{month}``.
    """

    drop: str
    months: str
    by_month: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file: its template and the digest by which a change of it is noticed."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def statements(self, database: str, layout: Layout) -> list[str]:
        """What is to be run, in this order. Every statement may be run again."""
        values = _values(database, layout)
        text = Template(self.text).substitute(values)
        done = [each.strip() for each in "\n".join(_code(text)).split(";\n") if each.strip()]
        if layout.cluster is None:
            return done
        return done + [_distributed(table, by, values) for table, by in _SHARDED.findall(text)]

    def backfills(self, database: str, layout: Layout) -> list[Backfill]:
        """What a store that has events needs besides: ``drop`` before :meth:`statements`, the rest after them."""
        values = _values(database, layout)
        # Whole tables are read and written, not the shards' own, for there is one who does this.
        whole = Template(self.text).substitute(values, local="")
        made = []
        for table, source, column in _BACKFILLED.findall(self.text):
            here = f"{database}.{source}"
            select = re.search(rf"TO {database}\.{table} AS\n(.+?);\n", whole, re.DOTALL)
            if select is None:
                raise ValueError(f"{self.name} has no view that fills {table}")
            of_month = f"FROM (SELECT * FROM {here} WHERE toYYYYMM({column}) = {{month}})"  # noqa: S608 - names are ours
            made.append(
                Backfill(
                    f"DROP TABLE IF EXISTS {database}.{table}{values['local']} {values['on_cluster']} SYNC",
                    f"SELECT DISTINCT toYYYYMM({column}) AS month FROM {here} ORDER BY month",  # noqa: S608
                    f"INSERT INTO {database}.{table} {select[1].replace(f'FROM {here}', of_month)}",
                )
            )
        return made


def pointer() -> Migration:
    """The file for the table that says which generation is in use. Raises what :func:`migrations` raises."""
    return _files()[0]


def migrations() -> tuple[Migration, ...]:
    """The files of a generation, in the order of their numbers. Raises :class:`ToolMissing` if they are not there."""
    return _files()[1:]


def windows(base: str, database: str, layout: Layout) -> list[str]:
    """Statements for plain views in the base database: the names that tools outside keep, whatever is in use."""
    values = _values(base, layout)
    return [
        f"CREATE OR REPLACE VIEW {base}.{table} {values['on_cluster']} AS "  # noqa: S608 - names are checked
        f"SELECT * FROM {database_name(database)}.{table}{' FINAL' if table in _FINAL else ''}"
        for table in TABLES
    ]


@cache
def _files() -> tuple[Migration, ...]:
    """All files.

    Raises:
        ToolMissing: they did not come with this installation.
    """
    found = [each for each in _folder().glob("*.sql") if _FILE.fullmatch(each.name)]
    if len(found) < 2:
        raise ToolMissing("the SQL files of the analytics tables are missing", hint="install stigmergy anew")
    return tuple(Migration(each.stem, each.read_text(encoding="utf-8")) for each in sorted(found))


def database_name(name: str) -> str:
    """``name`` if it can be a database of ours. Raises :class:`InvalidInput`."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be the name of a ClickHouse database",
            hint="use letters, digits and _, at most 63, as the path of STIGMERGY_CLICKHOUSE_URL",
        )
    return name


def create_database(database: str, layout: Layout) -> str:
    """The statement that makes a database."""
    return f"CREATE DATABASE IF NOT EXISTS {database} {_values(database, layout)['on_cluster']}".strip()


def drop_database(database: str, layout: Layout) -> str:
    """The statement that removes a database with all its tables."""
    return f"DROP DATABASE IF EXISTS {database} {_values(database, layout)['on_cluster']} SYNC".replace("  ", " ")


def _folder() -> Path:
    here = Path(__file__).resolve()
    packed = here.parent / "sql"
    return packed if packed.is_dir() else here.parents[2] / "infra" / "clickhouse"


def _values(database: str, layout: Layout) -> dict[str, str]:
    clustered = layout.cluster is not None
    remembered = f"non_replicated_deduplication_window = {WINDOW}"
    if clustered:
        remembered = (
            f"replicated_deduplication_window = {WINDOW}, replicated_deduplication_window_seconds = {_WINDOW_S}"
        )
    if clustered:
        database_name(layout.cluster or "")
    return {
        "database": database_name(database),
        "cluster": layout.cluster or "",
        "on_cluster": f"ON CLUSTER '{layout.cluster}'" if clustered else "",
        "local": "_local" if clustered else "",
        "replicated": "Replicated" if clustered else "",
        "once": "Replicated" if clustered else "",
        "place": f"'/clickhouse/tables/{database}/{{table}}', '{{replica}}'," if clustered else "",
        "window": remembered,
        "raw_days": str(layout.raw_days),
        "rollup_days": str(layout.rollup_days),
    }


def _code(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("--")] + [""]


def _distributed(table: str, by: str, values: dict[str, str]) -> str:
    here = f"{values['database']}.{table}"
    return (
        f"CREATE TABLE IF NOT EXISTS {here} {values['on_cluster']} AS {here}_local\n"
        f"ENGINE = Distributed('{values['cluster']}', {values['database']}, {table}_local, {by})"
    )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description="Print the statements that make the analytics tables.")
    parser.add_argument("--database", default="stigmergy")
    parser.add_argument("--cluster", help="as replicated and sharded tables of this cluster")
    parser.add_argument("--raw-days", type=int, default=Layout().raw_days)
    parser.add_argument("--rollup-days", type=int, default=Layout().rollup_days)
    options = parser.parse_args()
    layout = Layout(options.raw_days, options.rollup_days, options.cluster)
    generation = f"{options.database}_1"
    for database, files in ((options.database, (pointer(),)), (generation, migrations())):
        sys.stdout.write(create_database(database, layout) + ";\n")
        for migration in files:
            sys.stdout.write(f"\n-- {migration.name}\n\n")
            sys.stdout.writelines(f"{each};\n\n" for each in migration.statements(database, layout))
    sys.stdout.writelines(f"{each};\n" for each in windows(options.database, generation, layout))


if __name__ == "__main__":
    main()
