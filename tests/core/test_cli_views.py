"""What the command line draws and reads: ids, times, lines of events, the tree of a mission, its timeline."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.text import Text

from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidEvent, InvalidInput
from schemas.events import payload_types
from schemas.events.mission import MissionPlanned, MissionSubmitted
from schemas.events.task import TaskReady
from schemas.plan import GoalSpec, Plan, TaskSpec
from stigmergy.cli import screen
from stigmergy.cli.drawing import Line, fitted, tree
from stigmergy.cli.finding import meant, short_ids
from stigmergy.cli.publishing import documents
from stigmergy.cli.sentences import _TOLD, STATE_CHANGES, STEPS, sentence
from stigmergy.cli.tailing import instant, wanted
from stigmergy.cli.timeline import attempts_of, drawn
from stigmergy.cli.watching import Watching
from stigmergy.cli.workflow_choice import choose

BEGUN = datetime(2026, 1, 31, 12, tzinfo=UTC)
IDS = ["0193a7ff-2", "0193a7ff-1", "01930000-0"]


def event(type_: str, at_s: float = 0.0, sequence: int = 1, **data: Any) -> Event:
    return Event(
        id=f"e{sequence}", source="/test", type=type_, time=rfc3339(BEGUN + timedelta(seconds=at_s)), tenant="default",
        mission="m1", sequence=sequence, data=msgspec.Raw(msgspec.json.encode(data)),
    )  # fmt: skip


def plain(markup: str) -> str:
    return Text.from_markup(markup).plain


def test_ids() -> None:
    assert meant("last", IDS) == "0193a7ff-2"
    assert meant("01930", IDS) == "01930000-0"
    assert meant("0193a7ff-1", IDS) == "0193a7ff-1"
    for said in ("0193a7ff", "", "77"):
        with pytest.raises(InvalidInput):
            meant(said, IDS)
    with pytest.raises(InvalidInput, match="no missions yet"):
        meant("last", [])


def test_short_ids_stay_different() -> None:
    assert short_ids(IDS) == {one: one for one in IDS}
    assert short_ids(["01930000-aaaa-1", "01940000-aaaa-2"]) == {
        "01930000-aaaa-1": "01930000",
        "01940000-aaaa-2": "01940000",
    }
    assert short_ids([]) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "4ms"), (0.4, "0.4s"), (12, "12s"), (185, "3m 05s"), (7620, "2h 07m"), (273_600, "3d 4h"), (-1, "0ms")],
)
def test_durations(seconds: float, text: str) -> None:
    assert screen.span(seconds) == text


def test_text_from_outside_is_no_markup() -> None:
    assert plain(screen.plain("[red]x[/] \x1b[31m")) == "[red]x[/]  [31m"


def test_times_in_the_past() -> None:
    then = instant("10m")
    assert timedelta(minutes=10) <= datetime.now(UTC) - then < timedelta(minutes=11)
    assert instant("2026-01-31T12:00:00Z") == BEGUN
    with pytest.raises(InvalidInput):
        instant("tomorrow")


def test_what_tail_asks_the_server_for() -> None:
    choice = wanted(["task.*", "world.violated", "task.failed"], None)
    assert choice.filters("acme", "m1") == ("events.acme.m1.task.>", "events.acme.m1.world.>")
    assert wanted(["t*.failed"], None).filters("acme", "*") == ("events.acme.*.>",)
    assert wanted([], None).filters("acme", "*") == ("events.acme.*.>",)
    assert choice.wants(event("task.ready"))
    assert not choice.wants(event("world.confirmed"))
    assert wanted(["note"], None).wants(event("note.posted"))


def test_sentences_are_about_types_that_exist() -> None:
    types = set(payload_types())
    assert set(_TOLD) <= types
    assert types >= STATE_CHANGES | STEPS


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (event("attempt.started", task="a", attempt=2, agent="tester", worker="w1"), "▸ a #2 started tester on w1"),
        (event("task.failed", task="a", attempt=1, failure={"message": "no [x]\nat all"}), "✗ a failed: no [x] at all"),
        (event("world.violated", task="a", violations=[{"message": "worse"}]), "✗ a is not as expected: worse"),
        (event("goal.failed", of="another release"), "✗ goal.failed of=another release"),
        (event("workspace.conflicted", side="g", paths=["a.py", "b.py"]), "≠ g conflicts in a.py, b.py"),
        (event("mission.extended", group="g", branches=["x"]), "· g unfolds into 1 branch"),
        (event("order.paid", amount=3), "· order.paid amount=3"),
        (
            event("attempt.finished", task="a", attempt=1, outcome="handed_off", hand_off={"to": "t", "why": "hard"}),
            "· a offers the task to t: hard",
        ),
        (
            event("task.handed_over", task="a", attempt=2, giver="s", skill="t", why="too hard"),
            "⇄ a #2 is handed over by s to t: too hard",
        ),
        (
            event("task.handed_back", task="a", attempt=3, skill="s", to="t", failure={"message": "nobody"}),
            "⇄ a #3 goes back to s: nobody",
        ),
        (event("agent.asked", task="a", by="x", topic="opinion"), "· a x asks about opinion"),
        (event("agent.heard", task="a", outcome="busy", tries=3), "· a heard busy after 3 tries"),
    ],
)  # fmt: skip
def test_sentences(told: Event, text: str) -> None:
    assert plain(sentence(told)) == text


def watched(*events: Event) -> Watching:
    plan = Plan(
        goals=(GoalSpec(id="z", title="First"), GoalSpec(id="a", title="Second")),
        tasks=(
            TaskSpec(id="one", skill="echo", title="Do one", goal="z"),
            TaskSpec(id="two", skill="echo", title="Do two", goal="a", needs=("one",)),
        ),
    )
    watching = Watching("default", "m1")
    ready = TaskReady(task="one", attempt=1, skill="echo")
    for number, payload in enumerate(
        (MissionSubmitted(objective="Try [this]", workflow=""), MissionPlanned(plan=plan, planned_at=BEGUN), ready), 1
    ):
        watching.take(event(payload.TYPE, number, number, **payload.model_dump(mode="json")))
    for one in events:
        watching.take(one)
    return watching


def test_the_tree_shows_goals_in_the_order_of_the_plan_and_who_works() -> None:
    started = event("attempt.started", 4, 4, task="one", attempt=1, agent="echo", worker="host-17-abcdef")
    lines = [plain(line.text) for line in tree(watched(started))]
    assert lines[0].startswith("Try [this]")
    assert "0/2" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["First", "Do", "Second", "Do"]
    assert lines[1].startswith("  ● First")
    assert lines[2].startswith("    ▸ Do one")
    assert lines[2].endswith("host-17")
    assert lines[3].startswith("  · Second")
    assert lines[4].endswith("waiting")


def test_what_does_not_fit_is_counted() -> None:
    lines = [Line("root", 100), *(Line(f"line {n}", n) for n in range(10))]
    assert [plain(text) for text in fitted(lines, 4)] == ["root", "line 8", "line 9", "  … and 8 more"]
    assert fitted(lines, 11) == [line.text for line in lines]


def test_the_timeline_has_a_lane_for_each_task_or_worker() -> None:
    events = [
        event("attempt.started", 0, 1, task="a", attempt=1, agent="coder", worker="w1"),
        event("attempt.started", 5, 2, task="b", attempt=1, agent="coder", worker="w2"),
        event("attempt.finished", 5, 3, task="a", attempt=1, outcome="succeeded"),
        event("action.expired", 10, 4, task="b", attempt=1),
    ]
    attempts = attempts_of(events)
    assert [(one.task, one.outcome, (one.end - one.begin).total_seconds()) for one in attempts] == [
        ("a", "succeeded", 5),
        ("b", "lost", 5),
    ]
    axis, first, second = (plain(line) for line in drawn(attempts, "task", 84))
    assert axis.rstrip().endswith("10s")
    assert first.split()[1] == "█" * 20 + "·" * 20
    assert second.split()[1] == "·" * 20 + "█" * 20
    assert len(list(drawn(attempts, "agent", 84))) == 2
    assert [plain(line) for line in drawn([], "task", 84)] == ["no attempt has been started yet"]


def test_an_attempt_that_runs_ends_with_the_last_event() -> None:
    events = [
        event("attempt.started", 0, 1, task="a", attempt=1, agent="coder", worker="w1"),
        event("agent.acted", 3, 2, task="a", attempt=1, text="x"),
    ]
    [running] = attempts_of(events)
    assert (running.outcome, running.end - running.begin) == ("", timedelta(seconds=3))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}\n\n{"a": 2}\n', [(1, {"a": 1}), (3, {"a": 2})]),
        ('{\n "a": 1\n}\n', [(1, {"a": 1})]),
        ('[\n {"a": 1},\n {"a": 2}\n]\n', [(1, {"a": 1}), (1, {"a": 2})]),
        ('[{"a": 1}, 2]', [(1, {"a": 1}), (1, 2)]),
        ("", []),
    ],
)
async def test_documents_of_a_file(text: str, found: list[tuple[int, Any]]) -> None:
    assert [one async for one in documents(io.StringIO(text))] == found


async def test_a_line_that_is_no_json_is_an_error_of_that_line() -> None:
    [(_, good), (number, bad)] = [one async for one in documents(io.StringIO('{"a": 1}\n{"a": \n'))]
    assert good == {"a": 1}
    assert number == 2
    assert isinstance(bad, InvalidEvent)


def test_inputs_have_the_declared_type() -> None:
    choice = choose("hello", ['names=["Ada"]', "greeting=1"], None)
    assert choice.inputs == {"names": ["Ada"], "greeting": "1"}
    assert choice.objective == "Greet everybody"
    unknown = choose("of-the-cluster", ["n=1", "text=some words"], "Because")
    assert (unknown.workflow, unknown.inputs, unknown.plan) == ("of-the-cluster", {"n": 1, "text": "some words"}, None)
    with pytest.raises(InvalidInput, match="given twice"):
        choose("hello", ["greeting=a", "greeting=b"], None)
