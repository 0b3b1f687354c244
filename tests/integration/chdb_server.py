"""A ClickHouse server's HTTP interface over chDB, in a process of its own: no real server can be had from wheels.

``chdb_server.py <folder> <port> <faults>``. What clickhouse-connect needs of the interface is here: statements, rows in
Native, inserts in any format, settings, exceptions with their codes. The file ``faults`` makes it misbehave when Arrow
is inserted: ``full`` or ``lost`` in it.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

_NOT_SETTINGS = {
    "query", "database", "session_id", "compress", "decompress", "client_protocol_version", "wait_end_of_query",
    "query_id", "buffer_size", "http_headers_progress_interval_ms", "send_progress_in_http_headers",
    "enable_http_compression", "user", "password", "session_timeout",
}  # fmt: skip
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+(.+?)\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
_FULL = b"Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: str
    faults: Path
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path.startswith("/ping"):
            self._answer(200, b"Ok.\n", {})
        else:
            self._run(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            self._run(self._chunks())
        else:
            self._run(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _run(self, body: bytes) -> None:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        query = values.get("query", "").encode()
        data = body if query else b""
        if not query:  # the statement comes with the data behind it, or alone
            first, _, rest = body.partition(b"\n")
            query, data = (first, rest) if _INSERT.match(first) else (body, b"")
        fault = self.faults.read_text() if self.faults.exists() and b"FORMAT Arrow" in query else ""
        if fault == "full":
            self._answer(500, _FULL, {"X-ClickHouse-Exception-Code": "243"})
            return
        try:
            with self.lock:
                result, headers = self._execute(query, data, values)
        except Exception as error:  # noqa: BLE001 - whatever the engine says goes to the client
            said = str(error)
            code = re.search(r"Code: (\d+)", said)
            self._answer(500, said.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1001"})
            return
        if fault == "lost":  # done, but the answer is lost on its way
            self.faults.unlink()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self._answer(200, result, headers)

    def _execute(self, query: bytes, data: bytes, values: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        settings = {
            name: v for name, v in values.items() if name not in _NOT_SETTINGS and not name.startswith("param_")
        }
        params = {name[6:]: value for name, value in values.items() if name.startswith("param_")}
        insert = _INSERT.match(query) if data else None
        handle: Any = chdb.connect(self.folder)
        temporary = ""
        try:
            if values.get("database"):
                handle.query(f"USE {values['database']}")
            # A server takes all settings of a call at once; here readonly has to come last.
            for name, value in sorted(settings.items(), key=lambda item: item[0] == "readonly"):
                quoted = value.replace("\\", "\\\\").replace("'", "\\'")
                handle.query(f"SET {name} = '{quoted}'")
            if insert is not None:
                with tempfile.NamedTemporaryFile(delete=False) as file:
                    file.write(data)
                temporary = file.name
                query = b"INSERT INTO %s FROM INFILE '%s' FORMAT %s" % (insert[1], temporary.encode(), insert[2])
            shown = re.search(rb"FORMAT\s+(\w+)\s*;?\s*$", query, re.IGNORECASE)
            form = shown[1].decode() if shown else "TabSeparated"
            result = handle.query(query.decode(), form, params=params).bytes() or b""
            return result, {"X-ClickHouse-Format": form} if result else {}
        finally:
            handle.close()
            if temporary:
                os.unlink(temporary)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"X-ClickHouse-Summary": "{}", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


if __name__ == "__main__":
    Handler.folder = os.path.realpath(sys.argv[1])
    Handler.faults = Path(sys.argv[3])
    kept: Any = chdb.connect(Handler.folder)  # the engine lives as long as one handle does
    with Server(("127.0.0.1", int(sys.argv[2])), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
