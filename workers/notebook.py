"""What the agents of a pool have learned at run time, known to all its processes.

A file without a name, made before the pool forks and inherited by its children. Everybody appends lines, which the
kernel does not mix (``O_APPEND``), and reads what is new since it last looked. There is no lock that a killed process
could keep, and nothing to clear away: the file goes with the last process that has it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import weakref

from schemas.cards import SkillCard

MOST = 200
"""Skills that a pool can learn; each is a queue that its processes read."""


class Notebook:
    """Shared by a process and the children that it forks after making it. Cheap to look into when nothing is new."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="stig-learned-") as file:
            self._file = os.dup(file.fileno())
        fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) | os.O_APPEND)
        weakref.finalize(self, os.close, self._file).atexit = False

    def put(self, card: SkillCard) -> None:
        """Note a skill for all processes of the pool; those that are forked later know it, too."""
        os.write(self._file, card.model_dump_json().encode() + b"\n")

    def since(self, position: int) -> tuple[int, list[SkillCard]]:
        """What was noted after a position, which is 0 at first, and the position to go on from."""
        size = os.fstat(self._file).st_size
        if size <= position:
            return position, []
        lines, newline, _ = os.pread(self._file, size - position, position).rpartition(b"\n")
        if not newline:
            return position, []
        cards = [SkillCard.model_validate_json(line) for line in lines.splitlines()]
        return position + len(lines) + 1, cards
