"""A throw-away NATS cluster for tests and benchmarks: servers on 127.0.0.1, 127.0.0.2 …, each to be killed or paused.

::

    with nats_cluster(tmp_path) as cluster:
        connect(cluster.url)
        cluster.servers["n1"].kill()
        cluster.servers["n2"].pause()  # as behind a cut cable: it holds its connections and answers nothing

Linux answers on all of 127.0.0.0/8; elsewhere the further addresses must first be given to the loopback interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stigmergy.local.ephemeral import ThrowAwayServer, running_server, throw_away_layout
from stigmergy.local.nats_server import NatsServer
from stigmergy.local.ports import free_port


class ThrowAwayCluster:
    """Running servers by name. ``url`` names all of them, with the secret."""

    def __init__(self, servers: Mapping[str, ThrowAwayServer]) -> None:
        self.servers = dict(servers)

    @property
    def url(self) -> str:
        return ",".join(server.url for server in self.servers.values())

    def others(self, *names: str) -> list[str]:
        """The names of all servers but these."""
        return [name for name in self.servers if name not in names]


@contextmanager
def nats_cluster(folder: Path, *, size: int = 3, store_bytes: int = 2**30) -> Iterator[ThrowAwayCluster]:
    """NATS servers with JetStream that form one cluster; SIGKILL at the end. Ready is when they have met and voted.

    Raises:
        ToolMissing, Unavailable, Conflict: as :func:`~stigmergy.local.ephemeral.nats_server`.
    """
    layout = throw_away_layout(folder)
    secret = layout.secret("cluster-password")
    routes = {f"n{number}": (f"127.0.0.{number}", free_port()) for number in range(1, size + 1)}
    with ExitStack() as closing:
        servers: dict[str, ThrowAwayServer] = {}
        for name, (host, port) in routes.items():
            cluster: dict[str, Any] = {
                "name": "throw-away",
                "listen": f"{host}:{port}",
                "authorization": {"user": "route", "password": secret},
                "routes": [f"nats://route:{secret}@{h}:{p}" for h, p in routes.values()],
            }
            further = {"server_name": name, "cluster": cluster}
            server = NatsServer(layout, store_bytes=store_bytes, name=name, host=host, further=further)
            servers[name] = closing.enter_context(running_server(server, None))
        yield ThrowAwayCluster(servers)
