"""Where peers live: a virtual environment each, pinned here, and the servers they need.

They are kept below ``.stigmergy/peers`` of the checkout: made once, used again. Restate's server comes from its npm
package, PostgreSQL from the system (Debian: ``apt-get install postgresql``); what is missing leaves a peer out, with
the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from benchmarks.processes import ROOT
from schemas.errors import ToolMissing, Unavailable
from stigmergy.local.ephemeral import nats_server, valkey_server
from stigmergy.local.leash import leashed
from stigmergy.local.ports import free_port

HOME = ROOT / ".stigmergy" / "peers"
_READY_S = 90.0
_RESTATE = "@restatedev/restate-server@1.7.12"


@dataclass
class Place:
    """What is at hand for one peer while it runs: variables for its driver, and processes that belong to it."""

    folder: Path
    stack: ExitStack
    env: dict[str, str] = field(default_factory=dict)
    roots: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """One of the systems that users would take instead.

    Attributes:
        module: its driver, ``benchmarks.peers.<module>``.
        requirements: what its environment holds.
        servers: start what it needs.
        durable: what survives when a worker is killed, in a few words.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    servers: tuple[Callable[[Place], None], ...]
    durable: str


def _valkey(place: Place) -> None:
    server = place.stack.enter_context(valkey_server(place.folder / "servers"))
    place.env["BENCH_REDIS_URL"], place.roots["valkey"] = server.url, server.pid


def _nats(place: Place) -> None:
    server = place.stack.enter_context(nats_server(place.folder / "servers"))
    place.env["BENCH_NATS_URL"], place.roots["nats"] = server.url, server.pid


def _restate(place: Place) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ToolMissing("Restate's server comes from npm, which is not here", hint="install Node.js")
    binary = HOME / "restate-server" / "node_modules" / ".bin" / "restate-server"
    if not binary.exists():
        subprocess.run([npm, "install", "--silent", "--prefix", HOME / "restate-server", _RESTATE], check=True)
    ingress, admin, node, app = (free_port() for _ in range(4))
    env = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_LISTEN_MODE": "tcp",
    }
    command = (str(binary), "--no-logo", "--node-name", "bench", "--base-dir", str(place.folder / "restate"))
    place.roots["restate-server"] = place.stack.enter_context(_running(command, env, place.folder, "restate"))
    _await(f"http://127.0.0.1:{admin}/health", "restate-server", place.folder / "restate.log")
    place.env["BENCH_RESTATE_INGRESS"] = f"http://127.0.0.1:{ingress}"
    place.env["BENCH_RESTATE_ADMIN"] = f"http://127.0.0.1:{admin}"
    place.env["BENCH_RESTATE_PORT"] = str(app)


def _postgres(place: Place) -> None:
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not bins or os.getuid() != 0:
        raise ToolMissing("PostgreSQL's server is not here, or this is not root", hint="apt-get install postgresql")
    bin_, port = bins[-1].parent, free_port()
    # Its server refuses to run as root, and its user must reach the folder: not below a private temporary folder.
    data = Path(place.stack.enter_context(tempfile.TemporaryDirectory(prefix="stigmergy-postgres-", dir="/dev/shm")))
    shutil.chown(data, "postgres")
    data.chmod(0o700)
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    cluster = str(data / "cluster")
    subprocess.run(
        [*as_postgres, bin_ / "initdb", "-D", cluster, "-A", "trust", "-U", "postgres", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    command = (
        *as_postgres,
        str(bin_ / "postgres"),
        "-D",
        cluster,
        "-p",
        str(port),
        "-c",
        f"unix_socket_directories={data}",
    )
    place.roots["postgres"] = place.stack.enter_context(_running(command, {}, place.folder, "postgres"))
    url = f"postgresql://postgres@127.0.0.1:{port}"
    ready = [str(bin_ / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + _READY_S
    while subprocess.run(ready).returncode != 0:
        if time.monotonic() > deadline:
            raise Unavailable("PostgreSQL is not ready", hint="its log is in the benchmark's folder")
        time.sleep(0.1)
    place.env["BENCH_POSTGRES_URL"] = f"{url}/bench"


def _prefect(place: Place) -> None:
    port = free_port()
    env = {
        "PREFECT_HOME": str(place.folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    python = str(HOME / "prefect" / "bin" / "python")
    command = (python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")
    place.roots["prefect-server"] = place.stack.enter_context(_running(command, env, place.folder, "prefect"))
    place.env |= env
    _await(f"{env['PREFECT_API_URL']}/health", "prefect server", place.folder / "prefect.log")


PEERS = (
    Peer(
        "taskiq",
        "taskiq_jetstream",
        ("taskiq==0.13.0", "taskiq-nats==0.7.0", "redis==8.1.0"),
        (_valkey, _nats),
        "messages; the graph is by hand",
    ),
    Peer("dramatiq", "dramatiq_redis", ("dramatiq[redis]==2.2.1",), (_valkey,), "messages; the graph is by hand"),
    Peer(
        "restate",
        "restate_calls",
        ("restate-sdk[serde]==1.3.0", "hypercorn==0.18.0", "httpx==0.28.1"),
        (_restate,),
        "every call and result",
    ),
    Peer("dbos", "dbos_queue", ("dbos==3.4.0", "psycopg[binary]"), (_postgres,), "every task and result"),
    Peer(
        "langgraph",
        "langgraph_sqlite",
        ("langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2"),
        (),
        "supersteps, in one process",
    ),
    Peer("prefect", "prefect_flow", ("prefect==3.9.1",), (_prefect,), "states, in one process"),
)


def python_of(peer: Peer) -> Path:
    """The interpreter of a peer's environment, made if it is not there. Raises :class:`Unavailable`."""
    python = HOME / peer.name / "bin" / "python"
    stamp = HOME / peer.name / "made-of"
    wanted = "\n".join(peer.requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = Path(sys.executable).parent / "uv"
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, HOME / peer.name],
        [uv, "pip", "install", "-q", "--python", python, *peer.requirements],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(
                f"{peer.name} cannot be installed: {done.stderr.strip()[-500:]}", hint="look at the index"
            )
    stamp.write_text(wanted)
    return python


@contextmanager
def _running(command: tuple[str, ...], env: Mapping[str, str], folder: Path, name: str) -> Iterator[int]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            leashed(command), env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, name: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} is not ready: {log.read_text(errors='replace')[-800:]}", hint="") from None
            time.sleep(0.2)
