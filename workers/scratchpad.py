"""The scratchpad of a task (its ``TaskState``): what one attempt noted, the next one finds.

Every change is an event, so the notes survive the worker, can be watched, and are replayed with everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from schemas.attempts import AttemptOrder
from schemas.events.agent import AgentRemembered

if TYPE_CHECKING:
    from workers.reporting import Reporter


class Scratchpad(MutableMapping[str, Any]):
    """A dictionary of JSON values that belongs to the task, not to the attempt. Setting a key to None deletes it."""

    def __init__(self, order: AttemptOrder, reporter: Reporter) -> None:
        self._order = order
        self._reporter = reporter
        self._loaded: dict[str, Any] | None = None

    @property
    def _notes(self) -> dict[str, Any]:
        if self._loaded is None:
            # The first attempt cannot have a predecessor: it is spared the question to the log.
            first = self._order.attempt == 1
            self._loaded = {} if first else self._reporter.notes_of(self._order)
        return self._loaded

    def __getitem__(self, key: str) -> Any:
        return self._notes[key]

    def __setitem__(self, key: str, value: Any) -> None:
        remembered = AgentRemembered(task=self._order.task, attempt=self._order.attempt, field=key, value=value)
        self._reporter.emit(self._order, remembered)
        apply_note(self._notes, remembered)

    def __delitem__(self, key: str) -> None:
        if key not in self._notes:
            raise KeyError(key)
        self[key] = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._notes)

    def __len__(self) -> int:
        return len(self._notes)


def apply_note(notes: dict[str, Any], note: AgentRemembered) -> None:
    """Fold one note."""
    if note.value is None:
        notes.pop(note.field, None)
    else:
        notes[note.field] = note.value
