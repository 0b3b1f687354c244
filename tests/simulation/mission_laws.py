"""The laws of missions and goals; see :mod:`tests.simulation.laws`."""

from __future__ import annotations

from collections.abc import Callable

from schemas.events import Payload
from schemas.events import goal as goals
from schemas.events import mission as missions
from schemas.plan import ROOT_GOAL
from tests.simulation.said import Said, may_begin, once, still_open


def _goal_achieved(said: Said) -> None:
    book, goal = said.book, said.payload.goal
    if not _goal_ends(said, "achieved"):
        return
    said.need(all(task.ended for _, task in book.below(goal)), "no goal is achieved with tasks open below it")
    rest = [name for name in book.groups if name not in book.branches and goal in book.path(name)]
    rest = [name for name in rest if not book.given_up(name)]
    said.need(not rest, "no goal is achieved with groups still to unfold", ", ".join(rest))
    threshold = book.goals[goal].spec.error_threshold
    said.need(book.failures(goal) <= threshold, "no goal is achieved beyond its error threshold")


def _goal_failed(said: Said) -> None:
    book, goal = said.book, said.payload.goal
    if not _goal_ends(said, "failed"):
        return
    spec = book.goals[goal].spec
    reason = (
        book.failures(goal) > spec.error_threshold
        or spec.deadline_s is not None
        or (goal in book.groups and goal not in book.branches)
        or (spec.parent is not None and book.given_up(spec.parent) is not None)
    )
    said.need(reason, "no goal fails without a reason")


def _goal_ends(said: Said, how: str) -> bool:
    """Whether it counts: not after the mission's end, which its author may not have read yet."""
    book, event = said.book, said.payload
    said.need(event.goal in book.goals, "only goals of the plan are spoken of")
    if not still_open(said):
        return False
    goal = book.goals[event.goal]
    said.need(not goal.ended, "a goal ends once", goal.ended)
    goal.ended, goal.ended_at = how, said.place
    return True


def _submitted(said: Said) -> None:
    said.need(not said.book.submission, "a mission is submitted once")
    said.book.submission = said.cause


def _planned(said: Said) -> None:
    said.need(bool(said.book.submission) and said.book.plan is None, "a mission is planned once")
    said.book.begin(said.payload.plan)
    said.book.began = said.payload.planned_at


def _extended(said: Said) -> None:
    book, event = said.book, said.payload
    _open(said)
    said.need(event.group in book.groups and event.group not in book.branches, "a group unfolds once")
    may_begin(said, book.groups[event.group], None, "no group unfolds before")
    if (given_up := book.given_up(event.group)) is not None:
        said.need(not said.knew(given_up.ended_at), "no group unfolds below a goal that has failed")
        return  # it came too late, and the fold leaves it out
    book.extend(event)


def _open(said: Said) -> None:
    book = said.book
    said.need(book.plan is not None, "nothing is decided before there is a plan")
    said.need(not book.ended, "after a mission's end nothing is said of it", book.ended)


def _paused(said: Said) -> None:
    _open(said)
    said.need(said.book.paused_at is None, "a mission is paused once")
    once(said)
    said.book.paused_at = said.place


def _resumed(said: Said) -> None:
    _open(said)
    said.need(said.book.paused_at is not None, "only a paused mission is resumed")
    once(said)
    said.book.paused_at = None


def _reopened(said: Said) -> None:
    said.need(said.book.ended == "failed", "only a failed mission is reopened", said.book.ended)
    once(said)
    said.book.reopen(said.payload.tasks)
    said.book.began = said.at


def _completed(said: Said) -> None:
    book = said.book
    _open(said)
    rest = [name for name, task in book.tasks.items() if not task.ended]
    said.need(not rest, "no mission is completed with tasks open", ", ".join(rest))
    groups = [name for name in book.groups if name not in book.branches and not book.given_up(name)]
    said.need(not groups, "no mission is completed with groups still to unfold", ", ".join(groups))
    said.need(book.failures(ROOT_GOAL) == 0, "no mission is completed with a failure")
    going = [name for name, goal in book.goals.items() if name != ROOT_GOAL and not goal.ended]
    said.need(not going, "no mission is completed with goals open", ", ".join(going))
    _end(said, "completed")


def _mission_failed(said: Said) -> None:
    book = said.book
    _open(said)
    rest = [name for name, task in book.tasks.items() if not task.ended]
    said.need(not rest, "no mission fails with tasks open", ", ".join(rest))
    late = book.plan is not None and book.plan.deadline_s is not None
    said.need(late or book.failures(ROOT_GOAL) > 0, "no mission fails without a reason")
    _end(said, "failed")


def _mission_cancelled(said: Said) -> None:
    said.need(not said.book.ended, "after a mission's end nothing is said of it", said.book.ended)
    _end(said, "cancelled")


def _end(said: Said, how: str) -> None:
    said.book.ended, said.book.ended_at = how, said.place


MISSION_LAWS: dict[type[Payload], Callable[[Said], None]] = {
    missions.MissionSubmitted: _submitted,
    missions.MissionPlanned: _planned,
    missions.MissionExtended: _extended,
    missions.MissionPaused: _paused,
    missions.MissionResumed: _resumed,
    missions.MissionReopened: _reopened,
    missions.MissionCompleted: _completed,
    missions.MissionFailed: _mission_failed,
    missions.MissionCancelled: _mission_cancelled,
    goals.GoalAchieved: _goal_achieved,
    goals.GoalFailed: _goal_failed,
}
