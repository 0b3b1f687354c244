"""The laws of tasks that are stuck, and of what is done instead of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.core.parts import MOST_DEEP
from schemas.events import Payload
from schemas.events import task as tasks
from schemas.plan import RecoveryRule
from tests.simulation.ledger import Book, TaskBook
from tests.simulation.said import Said, still_open


def _stuck(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not still_open(said):
        return
    failure = task.verdicts.get(task.attempt)
    said.need(failure is not None, "only a failed attempt is a failure")
    said.need(not task.ended and not task.asking, "what has ended does not start again", task.ended)
    said.need(event.attempt == task.attempt, "only the present attempt counts", f"present is {task.attempt}")
    said.need(not task.waits_for_planner, "the planner is asked about one thing at a time")
    said.need(not task.end or _lost(book, task), "nobody asks while what is done instead goes on")
    said.need(book.depth(event.task) < MOST_DEEP, "steps do not get smaller for ever")
    if event.rule >= 0:
        number, rule = book.rule_for(task)
        good = rule is not None and rule.do == "smaller_step" and event.rule == number
        said.need(good, "the planner is asked where a rule says so")
    else:
        said.need(-1 not in task.recovered, "about a refused intent the planner is asked once")
    task.recovered.append(event.rule)
    task.waits_for_planner, task.parts, task.end = True, (), ""


def _replanned(said: Said) -> None:
    book, task, event = said.book, said.task(), said.payload
    if not still_open(said):
        return
    said.need(not task.ended, "what has ended is not replaced", task.ended)
    said.need(task.waits_for_planner, "only what is stuck is replaced, and once")
    said.need(all(part.id not in book.tasks for part in event.tasks), "what is done instead has names of its own")
    book.replan(event)


def _lost(book: Book, task: TaskBook) -> bool:
    return book.tasks[task.end].ended not in ("", "succeeded")


def for_somebody(said: Said) -> None:
    """What starts as a part is done instead of a task that still waits for it."""
    owner = said.book.tasks.get(said.book.part_of.get(said.payload.task, ""))
    good = owner is None or (said.payload.task in owner.parts and not owner.ended)
    said.need(good, "nothing starts that is done for nobody")


def succeeded_by_parts(said: Said, task: TaskBook) -> None:
    """A task that was replaced succeeds with what stands for it."""
    end = said.book.tasks[task.end].ended
    said.need(end == "succeeded", "what is replaced succeeds when what stands for it has", f"{task.end} {end}")
    left = [name for name in task.parts if said.book.tasks[name].ended != "succeeded"]
    said.need(not left, "what stands for a task has needed all that was done instead", ", ".join(left))
    said.need(not task.ended, "a task ends once", task.ended)
    task.counted.add(said.payload.attempt)
    task.ended = "succeeded"


def goes_another_way(said: Said, task: TaskBook) -> None:
    """A task that was replaced goes on by itself only once what stands for it is lost."""
    said.need(not task.waits_for_planner, "what is stuck is moved by the planner's answer alone")
    said.need(not task.end or _lost(said.book, task), "what is replaced waits for what is done instead", task.end)
    task.parts, task.end = (), ""


def has_no_way(said: Said, task: TaskBook, rule: RecoveryRule | None) -> bool:
    """Whether it fails because of the planner: that knew nothing, or whose answers have failed, or are too deep."""
    if task.waits_for_planner:
        return True
    if task.end:
        said.need(_lost(said.book, task), "what is replaced waits for what is done instead", task.end)
        return rule is None
    return rule is not None and rule.do == "smaller_step" and said.book.depth(said.payload.task) >= MOST_DEEP


LAWS: Mapping[type[Payload], Callable[[Said], None]] = {tasks.TaskStuck: _stuck, tasks.TaskReplanned: _replanned}
