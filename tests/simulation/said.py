"""One event as the laws see it."""

from __future__ import annotations

from typing import Any

from orchestrator.core.facts import Fact
from schemas.plan import Group, TaskSpec
from tests.simulation import waits
from tests.simulation.ledger import Book, Broken, Place, TaskBook
from tests.simulation.virtual_time import monotonic


class Said:
    """One event as the laws see it: ``known`` is the place of the newest event that its author knew, ``at``
    what its author's clock said, ``true_s`` the true time at which the log took it, in seconds."""

    def __init__(self, book: Book, fact: Fact, place: Place, known: Place | None) -> None:
        self.book, self.place, self.known = book, place, known
        self.payload: Any = fact.payload
        self.cause, self.at = fact.cause, fact.at
        self.true_s = monotonic()

    def need(self, good: bool, law: str, detail: str = "") -> None:
        """Raise :class:`Broken` unless it is good."""
        if not good:
            about = f"{self.payload.TYPE} {' '.join(self.payload.identity())} at {self.place[0]}.{self.place[1]}"
            raise Broken(law, self.book.key, f"{about} {detail}".rstrip())

    def knew(self, place: Place) -> bool:
        """Whether the author had read what stands at this place."""
        return self.known is not None and self.known >= place

    def task(self) -> TaskBook:
        """The task it is about."""
        self.need(self.payload.task in self.book.tasks, "only tasks of the plan are spoken of")
        return self.book.tasks[self.payload.task]


def still_open(said: Said) -> bool:
    """Whether the mission goes on; nobody may decide about its tasks who knows that it does not."""
    book = said.book
    said.need(book.plan is not None, "nothing is decided before there is a plan")
    if not book.ended:
        return True
    said.need(not said.knew(book.ended_at), "nobody goes on with a mission that has ended", book.ended)
    return False


def may_begin(said: Said, spec: TaskSpec | Group, met: tuple[str, ...] | None, law: str) -> None:
    """What a task or a group waits for has come about; ``met`` is what its author says of it."""
    if spec.barrier is not None:
        lacking = waits.lacking(said.book, spec, met, said.at)
        said.need(not lacking, f"{law} its barrier holds", lacking)
        return
    missing = [need for need in spec.needs if not said.book.came_about(need)]
    said.need(not missing, f"{law} what it needs", ", ".join(missing))


def once(said: Said) -> None:
    """Remember the command that is carried out, and that it was not before."""
    said.need(said.cause not in said.book.carried_out, "a command is carried out once")
    said.book.carried_out.add(said.cause)
