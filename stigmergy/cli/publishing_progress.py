"""How far a file has been published, kept in another one: what was interrupted goes on there, and nothing is doubled.

Two things make it exact. The events of a line have ids that are derived from the run and the line, the same in every
try; and the log is asked for what it got since all before was acknowledged. So it does not matter at which moment a try
was interrupted, or how long ago, while the log still has what it got since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from schemas.errors import DiskFull, InvalidInput, Unavailable
from schemas.ids import derive, uuid7
from stigmergy.local.layout import write_private
from stigmergy.local.lock import exclusive


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds, as JSON.

    Attributes:
        run: the UUIDv7 from which ids are derived.
        lines: how many lines from the first one on are done: on the log, or refused.
        digest: BLAKE2b of these lines, without the ends of lines; hexadecimal.
        sequence: the log's last one when the lines behind these were begun.
    """

    run: str
    lines: int = 0
    digest: str = ""
    sequence: int = 0


class Progress:
    """Passes over lines that are done, and remembers what has become done since. Made by :func:`kept_in`."""

    def __init__(self, path: Path, mark: Mark, *, resumed: bool) -> None:
        self._path, self.mark, self.resumed = path, mark, resumed
        self._line = self._part = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._before = self._digest.copy()

    def done(self, number: int, line: str) -> bool:
        """Whether an earlier try did this line. To be called for each line, in order.

        Raises:
            InvalidInput: the lines before it are not those of the earlier try.
        """
        self._line, self._part = number, 0
        self._before = self._digest.copy()
        if number == self.mark.lines + 1:
            self._compare(self._before.hexdigest())
        self._digest.update(line.rstrip("\r\n").encode("utf-8", "surrogateescape") + b"\n")
        return number <= self.mark.lines

    def identify(self) -> str:
        """The id of the line's next event that has none of its own: the same in every try."""
        self._part += 1
        return derive(self.mark.run, str(self._line), str(self._part))

    def save(self, sequence: int) -> None:
        """All lines before the last one read are done; on disk when it returns.

        Args:
            sequence: the log's last one, asked for after their acknowledgement.
        """
        self._keep(self._line - 1, self._before.hexdigest(), sequence)

    def finish(self, sequence: int) -> None:
        """The last line read is the file's last one, and all are done.

        Raises:
            InvalidInput: the earlier try did more lines than there are.
        """
        if self._line <= self.mark.lines:
            self._compare(self._digest.hexdigest())
        self._keep(self._line, self._digest.hexdigest(), sequence)

    def write(self) -> None:
        """The mark as it is to the disk. Raises Unavailable."""
        try:
            write_private(self._path, msgspec.json.encode(self.mark).decode() + "\n")
        except (DiskFull, Unavailable) as error:
            hint = "free some space, or make the folder writable; the same command then goes on"
            raise Unavailable(error.message, hint=hint) from error

    def _keep(self, lines: int, digest: str, sequence: int) -> None:
        self.mark = Mark(self.mark.run, lines, digest, sequence)
        self.write()

    def _compare(self, digest: str) -> None:
        if self.mark.lines and digest != self.mark.digest:
            raise InvalidInput(
                f"the first {self.mark.lines:,} lines are not those that were published before",
                hint=f"{self._path} is of another file, or lines were changed; remove it to publish all again",
            )


@contextmanager
def kept_in(path: Path, sequence: int) -> Iterator[Progress]:
    """The progress that ``path`` tells, or the beginning of a new one; nobody else has it meanwhile.

    Args:
        sequence: the log's last one, where a new one begins.

    Raises:
        Conflict: another process publishes with it.
        InvalidInput: it is no such file, or cannot be read or written.
    """
    if not path.parent.is_dir():
        raise InvalidInput(f"{path.parent} is no folder", hint="make it, or keep the progress elsewhere")
    # It stays: whoever removed it could remove one that somebody has opened meanwhile.
    lock, busy = path.with_name(f".{path.name}.lock"), f"another process publishes with {path}"
    with exclusive(lock, wait_s=0, busy=busy, hint="wait for it, or keep the progress of this one elsewhere"):
        found = _read(path)
        progress = Progress(path, found or Mark(uuid7(), sequence=sequence), resumed=found is not None)
        progress.write()
        yield progress


def _read(path: Path) -> Mark | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{path} tells no progress: {error}", hint="was another file meant?") from error
