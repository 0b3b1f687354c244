"""The archive on an object store, and its files read by others: DuckDB, ClickHouse's engine, plain pyarrow."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events.jetstream import JetStreamLog
from events.port import Window, Write
from tests.integration.archive_bench import archive, archived, fact, logged, needs_pyarrow

needs_pyarrow()

import pyarrow.dataset as ds  # noqa: E402

from projections.archive.arrow_place import open_place  # noqa: E402
from projections.archive.checking import verify  # noqa: E402
from projections.archive.commits import first_name, manifest  # noqa: E402
from projections.archive.compacting import compact  # noqa: E402
from projections.archive.errors import ArchiveUnavailable  # noqa: E402
from projections.archive.messages import messages_of  # noqa: E402
from projections.archive.places import FolderPlace, Place  # noqa: E402
from projections.archive.repairing import repair  # noqa: E402
from projections.archive.sweeping import sweep  # noqa: E402
from projections.archive.writer import ArchiveWriter  # noqa: E402
from schemas.errors import Conflict, InvalidInput, ToolMissing  # noqa: E402

CHDB = """
import json, sys, chdb
print(json.dumps(json.loads(str(chdb.query(sys.argv[1], "JSON")))["data"]))
"""
COUNTS = {"m0": 100, "m1": 100, "m2": 100}


def needs(name: str) -> None:
    """At home a package may be left out; in CI it may not."""
    if os.environ.get("CI") != "true":
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Where a throw-away S3 answers: host and port."""
    needs("moto")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(params=["s3", "fsspec"])
def url(request: pytest.FixtureRequest) -> str:
    """A bucket of its own, as an operator would write it; or a folder in the memory of fsspec."""
    if request.param == "fsspec":
        needs("fsspec")
        return f"fsspec+memory://b{uuid4().hex[:12]}/events"
    s3 = request.getfixturevalue("s3")
    bucket = f"b{uuid4().hex[:12]}"
    found = f"s3://user:secret@{bucket}/events?region=us-east-1&scheme=http&endpoint_override={s3}&allow_bucket_creation=true"
    from pyarrow import fs

    fs.FileSystem.from_uri(found)[0].create_dir(bucket)
    return found


async def fill(log: JetStreamLog, place: Place) -> None:
    for number in range(3):
        await log.append([fact(mission=f"m{number}", days_ago=1 + n % 2) for n in range(100)])
        await archive(log, place)


async def test_on_an_object_store(log: JetStreamLog, url: str) -> None:
    place = open_place(url)
    assert "secret" not in place.name
    await fill(log, place)
    assert archived(place) == await logged(log)
    assert (await verify(place, log)).sound
    await asyncio.to_thread(compact, place, today="2999-01-01")
    assert len(manifest(place).chain) == 1
    assert archived(place) == await logged(log)
    hurt = manifest(place).chain[0].files[0].path
    place.write(hurt, b"not what was written")
    [problem] = (await verify(place, None)).problems
    assert hurt in problem
    assert (await repair(place, log)).made == [(1, 3)]
    assert (await verify(place, log)).sound
    assert [one.path for one in place.list("commits") if one.path.endswith(".json")] == ["commits/" + _only(place)]
    sweep(place, older_than_s=-1)
    assert archived(place) == await logged(log)


def _only(place: Place) -> str:
    commit = manifest(place).chain[0]
    return f"{commit.first:020d}-{commit.last:020d}.json"


async def test_a_name_is_taken_once_on_an_object_store(url: str) -> None:
    place = open_place(url)
    assert place.create("commits/1.json", b"one")
    assert not place.create("commits/1.json", b"other")
    assert place.read("commits/1.json") == b"one"
    with pytest.raises(FileNotFoundError):
        place.read("commits/2.json")
    place.remove("commits/1.json")
    place.remove("commits/1.json")
    assert place.list("commits") == []


async def test_two_who_create_in_one_moment_on_an_object_store(log: JetStreamLog, url: str) -> None:
    """pyarrow has no conditional PUT: both may believe that they were first. The loser stops at its next batch."""
    place = open_place(url)
    await log.write([Write((fact(),)) for _ in range(4)])
    events = [event async for event in log.read(Window())]
    one, other = ArchiveWriter(place), ArchiveWriter(place)
    one.commit(1, 2, messages_of(events[:2]))
    first = place.read(first_name(1))
    place.remove(first_name(1))  # as if it were not there yet when the other one looks
    other.commit(1, 3, messages_of(events[:3]))
    assert place.read(first_name(1)) != first
    with pytest.raises(Conflict, match="another writer"):
        one.commit(3, 4, messages_of(events[2:]))
    other.commit(4, 4, messages_of(events[3:]))
    assert archived(place) == await logged(log)


def test_exclusive_creation_is_what_a_store_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another wrote after both had looked: s3fs then has S3 refuse the second, by a conditional PUT."""
    needs("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    place, asked = open_place("fsspec+memory://exclusive/events"), []

    def refuse(_: object, path: str, data: bytes, mode: str = "overwrite") -> None:
        asked.append((path, data, mode))
        raise FileExistsError(path)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    assert not place.create("commits/1.json", b"one")
    assert asked == [("/exclusive/events/commits/1.json", b"one", "create")]


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_files_of_fsspec(protocol: str, tmp_path: Path) -> None:
    needs("fsspec")
    root = f"{tmp_path}/events" if protocol == "file" else f"b{uuid4().hex}/events"
    place = open_place(f"fsspec+{protocol}://{root}")
    assert place.list("") == place.list("commits") == []
    place.write("commits/1.json", b"one")
    place.write("commits/1.json", b"another")
    assert place.create("tenant=acme/x.parquet", b"x")
    assert [(one.path, one.size) for one in sorted(place.list(""), key=lambda one: one.path)] == [
        ("commits/1.json", 7),
        ("tenant=acme/x.parquet", 1),
    ]
    assert abs(place.list("commits")[0].changed - time.time()) < 60
    with place.open("commits/1.json") as file:
        file.seek(2)
        assert file.read(3) == b"oth"
    with pytest.raises(FileNotFoundError):
        place.open("commits/2.json")


@pytest.mark.parametrize("method", ["list", "read", "open", "write", "create", "remove"])
def test_a_store_of_fsspec_that_does_not_answer_is_not_an_empty_one(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    place = open_place("fsspec+memory://away/events")
    place.write("commits/1.json", b"one")

    class AwayError(Exception):
        """No OSError, as with botocore."""

    def away(*_: object, **__: object) -> None:
        raise AwayError("could not connect")

    for name in ("find", "info", "cat_file", "open", "pipe_file", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, name, away)
    data = (b"x",) if method in ("write", "create") else ()
    with pytest.raises(ArchiveUnavailable, match="could not connect"):
        getattr(place, method)("commits/1.json", *data)


def test_what_fsspec_does_not_know_is_said() -> None:
    needs("fsspec")
    with pytest.raises(InvalidInput, match="is no place for an archive"):
        open_place("fsspec+nonsense://b/events")
    with pytest.raises(ToolMissing, match="cannot be opened"):
        open_place("fsspec+s3://b/events")  # needs s3fs, which the tests do not


@pytest.mark.parametrize("method", ["write", "list", "create", "read"])
async def test_a_store_that_is_away_is_waited_for(
    log: JetStreamLog, url: str, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, failing = open_place(url), [3]
    await log.append([fact()])
    await archive(log, place)
    real = getattr(type(place), method)

    def away(*arguments: Any) -> Any:
        failing[0] -= 1
        if failing[0] >= 0:
            raise ArchiveUnavailable("the archive cannot be reached: 503 Slow Down")
        return real(*arguments)

    monkeypatch.setattr(type(place), method, away)
    await log.append([fact()])
    await archive(log, place)
    assert "Slow Down" in caplog.text
    assert archived(place) == await logged(log)


async def test_duckdb_and_pyarrow_read_the_files(log: JetStreamLog, tmp_path: Path) -> None:
    needs("duckdb")
    import duckdb

    place = FolderPlace(tmp_path / "archive")
    await fill(log, place)
    files = f"{place.name}/tenant=*/date=*/*.parquet"
    found = duckdb.sql(f"SELECT mission, count(*) FROM '{files}' WHERE type = 'note.posted' GROUP BY 1 ORDER BY 1")
    assert dict(found.fetchall()) == COUNTS
    texts = duckdb.sql(f"SELECT DISTINCT data->>'text', tenant, date FROM '{files}' ORDER BY ALL").fetchall()
    assert [(text, tenant) for text, tenant, _ in texts] == [("x", "acme"), ("x", "acme")]
    named = [f"{place.name}/{file.path}" for commit in manifest(place).chain for file in commit.files]
    assert ds.dataset(named).count_rows() == 300
    assert ds.dataset(f"{place.name}/tenant=acme", partitioning="hive").to_table(["mission", "date"]).num_rows == 300


async def test_clickhouse_reads_the_files(log: JetStreamLog, tmp_path: Path) -> None:
    """In a process of its own: one engine a process, and half a gigabyte of it."""
    needs("chdb")
    place = FolderPlace(tmp_path / "archive")
    await fill(log, place)
    query = (
        "SELECT mission, toUInt32(count()) AS n, any(JSONExtractString(data, 'text')) AS text, "
        "toUInt32(uniqExact(toDate(time))) AS days "
        f"FROM file('{place.name}/tenant=*/date=*/*.parquet', Parquet) GROUP BY mission ORDER BY mission"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", CHDB, query], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["mission"]: row["n"] for row in rows} == COUNTS
    assert {(row["text"], row["days"]) for row in rows} == {("x", 2)}
