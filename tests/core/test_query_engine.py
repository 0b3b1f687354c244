"""The way to an engine without one: sessions, settings, and a rebuild that switches in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from projections.analytics.queries.clickhouse import ClickHouseQueries
from projections.analytics.queries.port import Question, collect
from schemas.errors import InvalidInput, StigmergyError, Unavailable

pytest.importorskip("pyarrow")

from projections.analytics.queries.sessions import IDLE, OwnSessions


class EngineError(Exception):
    def __init__(self, code: int | None) -> None:
        super().__init__(f"Code: {code}. DB::Exception: no such thing: In scope SELECT secret settings")
        self.code = code


class FakeEngine:
    """Knows which database is in use; the others are gone."""

    def __init__(self, *databases: str, fails: int | None = None) -> None:
        self.told = list(databases)
        self.alive = databases[-1] if databases else ""
        self.fails = fails
        self.seen: list[str] = []

    @contextmanager
    def __call__(self, database: str, settings: Mapping[str, Any]) -> Iterator[Any]:
        assert settings["readonly"] == 1
        yield SimpleNamespace(query=lambda sql, parameters=None: self._answer(database, sql))

    def _answer(self, database: str, sql: str) -> Any:
        self.seen.append(database)
        if "generations" in sql:
            if not self.told:
                raise EngineError(81)
            return SimpleNamespace(result_rows=[[self.told.pop(0) if len(self.told) > 1 else self.told[0]]])
        if self.fails is not None:
            raise EngineError(self.fails)
        if database != self.alive:
            raise EngineError(60)
        kind = SimpleNamespace(name="Int8")
        return SimpleNamespace(column_names=["a"], column_types=[kind], result_rows=[[1]], summary={})


def ask(engine: FakeEngine, **question: Any) -> Any:
    return asyncio.run(collect(ClickHouseQueries(engine, "base").ask("acme", Question(**question))))


def test_a_rebuild_that_switches_in_between_is_followed() -> None:
    engine = FakeEngine("base_1", "base_2")
    assert ask(engine, template="agents") == [{"a": 1}]
    assert engine.seen == ["base", "base_1", "base", "base_2"]


def test_an_empty_store_says_what_to_start() -> None:
    with pytest.raises(Unavailable, match="no analytics yet"):
        ask(FakeEngine(), template="agents")


def test_a_failure_of_a_template_is_not_the_askers_fault() -> None:
    with pytest.raises(StigmergyError) as caught:
        ask(FakeEngine("base_1", fails=47), template="agents")
    assert not isinstance(caught.value, InvalidInput)
    assert "secret settings" not in caught.value.message
    with pytest.raises(Unavailable):
        ask(FakeEngine("base_1", fails=81), template="agents")


@pytest.mark.parametrize("question", [{}, {"template": "agents", "sql": "SELECT 1"}, {"sql": "SELECT 1", "limit": 0}])
def test_a_question_is_one_thing(question: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        ask(FakeEngine("base_1"), **question)


class FakeClient:
    def __init__(self) -> None:
        self.settings: list[str] = []
        self.closed = False

    def set_client_setting(self, name: str, value: Any) -> None:
        assert "readonly" not in self.settings, "behind it nothing can be set"
        self.settings.append(name)

    def query(self, sql: str, **_: Any) -> str:
        if sql == "bad":
            raise EngineError(1)
        return sql

    def close(self) -> None:
        self.closed = True


def test_sessions_are_kept_apart_by_their_settings_and_bounded() -> None:
    made: list[FakeClient] = []

    def connect(_: str) -> FakeClient:
        made.append(FakeClient())
        return made[-1]

    sessions = OwnSessions(connect)
    for tenant in ("a", "b", "a", "b", "a"):
        with sessions("db", {"readonly": 1, "filter": tenant}) as session:
            session.query("x")
    assert len(made) == 2
    with sessions("db", {"readonly": 1, "filter": "a"}), sessions("db", {"readonly": 1, "filter": "a"}):
        assert len(made) == 3
    with pytest.raises(EngineError), sessions("db", {"readonly": 1, "filter": "a"}) as session:
        session.query("bad")
    assert sum(client.closed for client in made) == 1
    for number in range(2 * IDLE):
        with sessions("db", {"readonly": 1, "filter": number}):
            pass
    assert sum(not client.closed for client in made) == IDLE
    sessions.close()
    assert all(client.closed for client in made)
