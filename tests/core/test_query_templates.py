"""Templates and their parameters without an engine: headers, values, what is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from projections.analytics.ddl import TABLES
from projections.analytics.queries.guard import filters
from projections.analytics.queries.registry import Chart, parsed, template, templates
from schemas.errors import InvalidIdentifier, InvalidInput

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
HEAD = "-- title: T\n-- description: D\n"
SQL = "SELECT 1 FROM events WHERE tenant = {tenant:String}"


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_table_that_a_template_reads_is_filtered_by_tenant(name: str) -> None:
    sql = template(name).sql
    read = re.findall(r"(?:FROM|JOIN)\s+([a-z_]+)", sql)
    tables = [table for table in read if table in TABLES]
    assert tables
    assert set(read) <= set(TABLES) | {"newest", "of_some_days"}
    assert "events" not in tables, "raw rows"
    assert len(re.findall(r"\btenant = \{tenant:String\}", sql)) == len(tables)


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_is_documented_and_has_good_defaults(name: str) -> None:
    one = template(name)
    page = (Path(__file__).parents[2] / "docs" / "query.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page
    assert one.title
    assert one.description.endswith(".")
    bound = one.bind({}, "acme", NOW)
    assert bound["tenant"] == "acme"
    assert set(bound) == {"tenant", *(parameter.name for parameter in one.parameters)}
    assert all(parameter.description for parameter in one.parameters)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("90s", "2026-03-04 05:04:37.890123"), ("1.5h", "2026-03-04 03:36:07.890123"),
        ("2d", "2026-03-02 05:06:07.890123"),
        ("begin", "1970-01-01 00:00:00.000000"), ("now", "2026-03-04 05:06:07.890123"),
        ("2026-01-02T03:04:05+01:00", "2026-01-02 02:04:05.000000"),
        ("2026-01-02T00:00Z", "2026-01-02 00:00:00.000000"),
        ("999999999d", "1970-01-01 00:00:00.000000"),
        ("2106-01-01T00:00Z", "2106-01-01 00:00:00.000000"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00.000000"),
    ],
)  # fmt: skip
def test_times(said: Any, value: str) -> None:
    [since] = [each for each in template("missions").parameters if each.name == "since"]
    assert since.read(said, NOW) == value


BUCKETS = [("minute", 60), ("hour", 3600), ("day", 86_400), ("5m", 300), ("1w", 604_800)]


@pytest.mark.parametrize(("said", "seconds"), BUCKETS)
def test_buckets(said: str, seconds: int) -> None:
    assert template("trends").bind({"bucket": said}, "acme", NOW)["bucket"] == seconds


@pytest.mark.parametrize(
    ("name", "given", "said", "hint"),
    [
        ("trends", {"since": "soon"}, "'soon' does not fit the parameter since", "10m"),
        ("trends", {"since": "1800-01-01"}, "since", "from 1970-01-01 to 2106-01-01"),
        ("trends", {"since": "1969-12-31T23:59:59.999999Z"}, "since", "from 1970-01-01"),
        ("trends", {"since": "0001-01-01T00:00:00+23:59"}, "since", "from 1970-01-01"),
        ("agents", {"until": "2106-01-01T00:00:00.000001Z"}, "that the store can hold", "to 2106-01-01"),
        ("agents", {"until": "2106-02-07T06:28:16Z"}, "until", "to 2106-01-01"),
        ("agents", {"until": "2150-01-01"}, "'2150-01-01' is no time", "to 2106-01-01"),
        ("agents", {"until": "9999-12-31T23:59:59-23:59"}, "until", "to 2106-01-01"),
        ("agents", {"until": "9999-12-31"}, "until", "to 2106-01-01"),
        ("trends", {"since": "٣d"}, "since", "ISO"),
        ("trends", {"since": "now", "until": "1h"}, "since is not before until", "earlier"),
        ("trends", {"bucket": "1s"}, "bucket", "minute"),
        ("trends", {"bucket": "90s"}, "bucket", "minute"),
        ("trends", {"by": "colour"}, "'colour'", "type, noun, all"),
        ("agents", {"limit": "0"}, "limit", "1 to 1000"),
        ("agents", {"limit": "1e3"}, "limit", "1 to 1000"),
        ("agents", {"limit": 2000}, "limit", "1 to 1000"),
        ("agents", {"skil": "x"}, "no parameter 'skil'", "skill"),
        ("agents", {"skill": "x" * 600}, "longer", "less"),
    ],
)
def test_what_does_not_fit_is_named(name: str, given: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)) as caught:
        template(name).bind(given, "acme", NOW)
    assert hint in caught.value.hint


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        template("agent")
    assert "did you mean agents?" in caught.value.hint


def test_a_header_is_read() -> None:
    head = HEAD + "-- parameter n: whole(9) = 3 -- how many\n-- parameter t: text = -- some\n"
    head += "-- units: a s, b $\n-- chart: line time a by b\n"
    one = parsed("x", head + SQL + " AND {n:UInt8} AND {t:String}")
    assert [(each.name, each.default, each.description) for each in one.parameters] == [
        ("n", "3", "how many"),
        ("t", "", "some"),
    ]
    assert one.units == {"a": "s", "b": "$"}
    assert one.chart == Chart("line", "time", "a", "b")


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "SELECT 1",
        HEAD + SQL + " AND {other:String}",
        HEAD + "-- parameter n: whole(9) = 3\n" + SQL,
        HEAD + "-- parameter n: number = 3\n" + SQL + " AND {n:UInt8}",
        HEAD + "-- parameter n: whole(256) = 3\n" + SQL + " AND {n:UInt8}",
        HEAD + "-- parameter n: bucket = hour\n" + SQL + " AND {n:UInt16}",
        HEAD + "-- colour: red\n" + SQL,
    ],
)
def test_a_template_that_is_written_wrongly_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="template x"):
        parsed("x", text)


def test_a_filter_can_hold_no_sql() -> None:
    assert filters("a~b", "db_1", ["events"]) == "{'db_1.events': 'tenant = \\'a~b\\''}"
    with pytest.raises(InvalidIdentifier):
        filters("a' OR 1", "db", ["events"])
