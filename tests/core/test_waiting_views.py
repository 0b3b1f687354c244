"""What is shown of tasks that wait, and of the workers that were lost over one."""

from __future__ import annotations

import io
from datetime import timedelta

from rich.console import Console

from schemas.attempts import Failure
from schemas.barriers import Barrier
from schemas.events.action import ActionExpired
from schemas.plan import Group, Plan
from stigmergy.cli.mission_screen import show_mission
from stigmergy.missions import MissionView, TaskView, mission_view
from tests.core.mission_play import Play
from tests.core.test_mission_cases import begin, fail, succeed, task


def view(play: Play) -> MissionView:
    return mission_view(play.state, len(play.facts))


def one(play: Play, name: str) -> TaskView:
    return next(each for each in view(play).tasks if each.id == name)


def shown(play: Play) -> str:
    console = Console(file=io.StringIO(), width=140, highlight=False, color_system=None, force_terminal=False)
    show_mission(view(play), console, play.now)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_task_without_a_barrier_names_what_is_open() -> None:
    singles = tuple(task(name) for name in "abcde")
    play = begin(Plan(tasks=(*singles, task("last", "a", "b", "c", "d", "e"))))
    assert one(play, "last").waits_for == "a, b, c and 2 more"
    succeed(play, "a")
    assert one(play, "last").waits_for == "b, c, d and 1 more"
    assert one(play, "a").waits_for == ""
    assert "waits for b, c, d and 1 more" in shown(play)


def test_a_task_behind_a_barrier_says_how_many_and_until_when() -> None:
    group = Group(id="g", items="${inputs.items}", needs=("a",), tasks=(task("x"),))
    join = task("join", "a", "b", "g", barrier=Barrier(at_least=3, until_s=90, then_at_least=2))
    later = task("later", "join", "b", barrier=Barrier(at_least=1))
    start = task("start", "join", barrier=Barrier(until_s=90))
    play = begin(Plan(tasks=(task("a"), task("b"), join, later, start), groups=(group,)))
    assert one(play, "join").waits_for == "0 of 2 or more, wants 3, until 00:01:30 UTC, then 2"
    assert one(play, "later").waits_for == "0 of 2, wants 1"
    assert one(play, "start").waits_for == "0 of 1, wants all, until 90 s later, then 1"
    fail(play, "b")
    assert one(play, "join").waits_for.endswith("then 2, 1 lost")
    assert "waits for 0 of 2 or more, wants 3" in shown(play)


def test_workers_that_were_lost_over_a_task_are_listed() -> None:
    play = begin(Plan(tasks=(task("a", retry={"max_attempts": 5, "delay_s": 0.1}), task("b"))))
    for attempt in (1, 2):
        lost = Failure(code="worker_lost", message=f"worker w{attempt} was not heard of", retryable=True)
        play.put(ActionExpired(task="a", attempt=attempt, worker=f"w{attempt}", failure=lost))
        play.advance(cut=False)
        play.now += timedelta(seconds=5)
        play.advance(cut=False)
    assert [(death.attempt, death.worker) for death in one(play, "a").deaths] == [(1, "w1"), (2, "w2")]
    text = shown(play)
    assert "workers lost" in text
    assert "worker w2 was not heard of" in text
    assert one(play, "b").deaths == ()
