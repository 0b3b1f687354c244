"""The book of a stack: what ``stack.json`` says, checked against the processes that really run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stigmergy.local import marks
from stigmergy.local.layout import Layout
from stigmergy.local.marks import ProcessMark
from stigmergy.local.nats_server import NatsServer
from stigmergy.local.records import StackRecord, read_record, write_record
from stigmergy.local.server import EmbeddedServer
from stigmergy.local.valkey_server import ValkeyServer


@dataclass(frozen=True)
class StackBook:
    """Reads are free for all; whoever writes holds the lock of the stack."""

    layout: Layout

    def server(self, name: str) -> EmbeddedServer:
        return ValkeyServer(self.layout) if name == "valkey" else NatsServer(self.layout)

    def find(self, server: EmbeddedServer) -> ProcessMark | None:
        """The running process of ``server``, on record or not: our configuration file is on its command line."""
        return self.find_recorded(server.name) or next(marks.having_argument(str(server.config())), None)

    def find_recorded(self, name: str) -> ProcessMark | None:
        """The running process on record, if it is alive and is what the record says: a pid may be a stranger's now."""
        record = self.record().servers.get(name)
        config = str(self.server(name).config())
        return record.mark if record and marks.has_argument(record.mark, config) else None

    def record(self) -> StackRecord:
        return read_record(self.layout.stack_file, StackRecord) or StackRecord()

    def write(self, record: StackRecord) -> None:
        write_record(self.layout.stack_file, record)

    def forget(self, names: Iterable[str]) -> None:
        """Strike servers off; their ports stay, for the next start."""
        record, gone = self.record(), set(names)
        kept = {name: server for name, server in record.servers.items() if name not in gone}
        self.write(record.model_copy(update={"servers": kept}))
