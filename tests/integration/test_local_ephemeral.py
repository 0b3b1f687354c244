"""Throw-away servers for tests and benchmarks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import nats
import psutil
import pytest
import redis

from schemas.errors import Conflict, Unavailable
from stigmergy.local import marks
from stigmergy.local.ephemeral import nats_server, valkey_server
from stigmergy.local.tail import tail, turn_over

ROOT = Path(__file__).resolve().parents[2]


async def test_nats_is_there_quickly_and_keeps_its_data_over_a_crash(tmp_path: Path) -> None:
    began = time.perf_counter()
    with nats_server(tmp_path / "with blank") as server:
        assert time.perf_counter() - began < 0.5
        client = await nats.connect(server.url)
        await client.jetstream().add_stream(name="S", subjects=["s"])
        await client.jetstream().publish("s", b"1")
        await client.close()
        pid, url = server.pid, server.url
        server.kill()
        server.start()
        assert server.pid != pid
        assert server.url == url
        client = await nats.connect(server.url)
        assert (await client.jetstream().stream_info("S")).state.messages == 1
        await client.close()
    assert not psutil.pid_exists(server.pid)


def test_valkey_restarts_after_a_crash_and_after_a_clean_end(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        for end in (server.kill, server.terminate):
            with redis.Redis.from_url(server.url) as client:
                client.incr("n")
            end()
            server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("n") == b"2"


def test_a_paused_server_answers_again_when_resumed(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server, redis.Redis.from_url(server.url, socket_timeout=0.2) as client:
        server.pause()
        with pytest.raises((redis.TimeoutError, redis.ConnectionError)):
            client.ping()
        server.resume()
        assert client.ping()


def test_two_on_one_store_are_refused(tmp_path: Path) -> None:
    with nats_server(tmp_path), pytest.raises(Conflict, match="destroy"), nats_server(tmp_path):
        pytest.fail("a second server began on the same store")


def test_a_given_port_that_is_busy_is_an_error(tmp_path: Path) -> None:
    with (
        valkey_server(tmp_path / "a") as first,
        pytest.raises(Unavailable),
        valkey_server(tmp_path / "b", port=first.port),
    ):
        pytest.fail("two servers on one port")


def test_a_throw_away_server_dies_with_a_killed_test_process(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from stigmergy.local.ephemeral import nats_server\n"
        "with nats_server(Path(sys.argv[1])) as server: print(server.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = marks.mark(int(parent.stdout.readline()))
        assert server is not None
        parent.kill()
    assert marks.await_end(server, 5)


def test_a_log_is_turned_over_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 500)
        assert not turn_over(log, cap=10_000)
        assert turn_over(log, cap=1_000)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"old\n" * 250
    assert tail(log, 5) == "new\n"
    assert tail(log, 5, since=4) == ""
    assert tail(tmp_path / "none", 5) == ""
