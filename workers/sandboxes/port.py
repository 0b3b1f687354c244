"""The port of every sandbox: what a caller hands in, what it may ask for, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Protocol

EndedBy = Literal["exit", "timeout", "cancelled", "memory", "processes", "cpu"]
Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[Stream, str], None]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use.

    ``memory_bytes``, ``processes`` and ``cpu_s`` hold for the whole tree of processes; ``file_bytes`` for each file.
    ``scratch_bytes`` is the size of the private /tmp, where a backend has one. ``output_bytes`` is what is kept of each
    stream; the rest is dropped.
    """

    wall_s: float = 60.0
    cpu_s: float = 120.0
    memory_bytes: int = 1024 * MIB
    processes: int = 128
    file_bytes: int = 256 * MIB
    scratch_bytes: int = 256 * MIB
    output_bytes: int = MIB
    network: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "network" and getattr(self, field.name) <= 0:
                raise ValueError(f"the limit {field.name} must be above zero, not {getattr(self, field.name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend truly holds on this machine; as a wish: what a caller cannot do without.

    Attributes:
        private_files: the guest sees nothing of the host but the system's programs and what it was handed.
        contained_writes: it can write into its workspace, the extra writable folders and a private /tmp, nowhere else.
        no_network: it reaches neither the network nor the host's abstract sockets; its own loopback works.
        tree_killed: no descendant outlives the run, however often it forked, unless the guest kills its own keeper.
        tree_memory: the memory of all its processes together is watched, and the tree killed above the limit.
    """

    private_files: bool = False
    contained_writes: bool = False
    no_network: bool = False
    tree_killed: bool = False
    tree_memory: bool = False

    def lacking(self, wanted: Capabilities) -> tuple[str, ...]:
        """The names of what is wanted and not had."""
        return tuple(f.name for f in fields(wanted) if getattr(wanted, f.name) and not getattr(self, f.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a run ended. ``exit_code`` is 128 + n after signal n; after a kill of ours it means nothing.

    ``peak_memory_bytes`` and ``cpu_s`` are of all its processes together: the memory as looked at every 0.05 s, the
    processor time by the kernel's count of those that were waited for.
    """

    exit_code: int
    stdout: str
    stderr: str
    stdout_truncated: bool
    stderr_truncated: bool
    duration_s: float
    peak_memory_bytes: int | None
    cpu_s: float | None = None
    ended_by: EndedBy

    @property
    def ok(self) -> bool:
        """Ended by itself, with exit code 0."""
        return self.ended_by == "exit" and self.exit_code == 0


class Sandbox(Protocol):
    """Runs one command at a time for one caller; an instance may be shared by threads."""

    @property
    def name(self) -> str:
        """The backend, as it is reported."""

    @property
    def capabilities(self) -> Capabilities:
        """What it holds on this machine, measured, not promised."""

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
        read_only: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        cancelled: Callable[[], bool] | None = None,
        on_output: OnOutput | None = None,
    ) -> Completed:
        """Run ``command`` in ``folder`` and return when it and all its descendants have ended.

        Args:
            command: the program and its arguments; never a shell line.
            folder: the workspace: working directory, writable, seen at the same path inside.
            env: the guest's whole environment beside PATH, HOME, TMPDIR, LANG and USER; nothing of the host's leaks in.
            limits: what it may use.
            read_only: paths it may read, such as an environment and its interpreter.
            writable: further folders it may write into, such as one for a report.
            cancelled: asked about ten times a second; True ends the run.
            on_output: told each line as it comes; an exception it raises ends the run and is passed on.

        Raises:
            InvalidInput: an empty command, or a folder that is not there.
            ToolMissing: the backend does not work on this machine.
        """
