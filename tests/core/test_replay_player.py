"""The film under the viewer's hands, what is due of it, and what is said of it; without a terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.text import Text

from events.replay import Choice, HistoryFile, Pace
from schemas.envelope import Event, moment_of
from schemas.errors import InvalidInput
from stigmergy.cli.player import texts
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.outline import Item, Names, Outline
from stigmergy.cli.player.wishes import choice_of, completed, go_to
from stigmergy.replaying import scene_cursor
from stigmergy.world_panel import world_fold

REPAIR = Path(__file__).parents[1] / "replay" / "histories" / "repair.ndjson"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def film(clock: Clock) -> Film:
    events = HistoryFile(REPAIR).read()
    cursor = scene_cursor(events[0].tenant, events[0].mission, world=world_fold())
    cursor.extend(events)
    return Film(cursor, Pace(clock), world=world_fold())


def shifted(event: Event, by: timedelta) -> str:
    return (moment_of(event) + by).isoformat()


def plain(markup: str) -> str:
    return Text.from_markup(markup).plain


def test_it_plays_in_recorded_time_and_stops_at_the_end(film: Film, clock: Clock) -> None:
    lived = 0.0
    while (wait := film.tick()) != math.inf:
        clock.now += wait
        lived += wait
    about = film.cursor.about
    assert lived == pytest.approx((about[-1].moment - about[0].moment).total_seconds(), abs=0.05)
    assert film.cursor.position == len(film.cursor)
    film.play()
    film.play()
    assert film.cursor.position == 0


def test_play_holds_and_steps_hold_too(film: Film, clock: Clock) -> None:
    film.play()
    clock.now += 100
    assert film.tick() == math.inf
    assert film.cursor.position == 0
    film.step()
    film.page()
    assert film.cursor.position == 11
    film.page(-1)
    film.page(-1)
    assert (film.cursor.position, film.message) == (0, "this is the beginning")
    film.step()
    assert film.message == ""


def test_errors_and_ends(film: Film) -> None:
    film.error()
    assert film.cursor.event is not None
    assert film.cursor.event.type == "world.violated"
    film.error()
    assert film.cursor.event.type == "task.failed"
    film.error(-1)
    film.error(-1)
    assert film.message == "no error before this"
    film.last()
    film.step()
    assert film.message == "this is the last event"
    assert film.cursor.state.mission.status.ended
    film.first()
    assert film.cursor.position == 0


def test_speeds(film: Film) -> None:
    film.faster()
    film.faster()
    film.faster(-1)
    assert film.pace.speed == 2
    film.speed(250.0)
    assert "250x" in texts.title(film)
    film.speed(math.inf)
    assert "max" in texts.title(film)


def test_going_to_an_event_a_place_in_the_log_or_a_time(film: Film) -> None:
    film.go_to("120")
    assert film.cursor.position == 120
    film.go_to("seq:79")
    assert film.cursor.position == 60
    for said, why in (
        ("9999", "no event 9999"),
        ("seq:1", "at or before"),
        ("12x", "no event"),
        ("25:99", "time of day"),
    ):
        with pytest.raises(InvalidInput, match=why):
            film.go_to(said)
        assert film.cursor.position == 60
    film.go_to("")
    assert film.cursor.position == 60
    there = film.cursor.about[99].moment
    film.go_to(there.isoformat())
    assert film.cursor.position == 100
    film.go_to(f"{there.astimezone():%H:%M:%S.%f}")
    assert film.cursor.position == 100
    with pytest.raises(InvalidInput, match="nothing had happened"):
        film.go_to("2020-01-01")
    film.jump_to_moment(datetime(2020, 1, 1, tzinfo=UTC))
    assert film.cursor.position == 0
    film.jump_to_moment(datetime(2100, 1, 1, tzinfo=UTC))
    assert film.cursor.position == len(film.cursor)
    assert film.pace.paused


def test_an_hour_of_one_digit_is_a_time_of_day(film: Film) -> None:
    day = film.cursor.about[0].moment.astimezone().date()
    go_to(film.cursor, "seq:79")
    chosen = choice_of("since:8:05", Choice(), film.moment)
    assert chosen.since is not None
    assert chosen.since.astimezone() == datetime(day.year, day.month, day.day, 8, 5).astimezone()


def test_filters_choose_what_is_listed_and_stepped_to(film: Film) -> None:
    film.filter("task:verify type:attempt.*")
    while film.sift(50):
        pass
    listed = [film.cursor.events[number - 1].type for number in film.rows]
    assert listed == ["attempt.started", "attempt.finished"]
    film.step()
    assert film.cursor.event is not None
    assert (film.cursor.event.type, film.cursor.event.subject) == ("attempt.started", "verify")
    assert film.row == 0
    film.filter("")
    assert film.everything
    film.step(-1)
    assert film.cursor.position == 166
    assert film.row == 165
    assert choice_of("error worker:w-1 lost word", film.cursor.choice).text == "lost word"


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("since:25:99", "no time of day"), ("until:soon", "no time"), ("task:", "says nothing"),
        ("since:2026-02-01 until:2026-01-01", "later than"),
    ],
)  # fmt: skip
def test_filters_that_are_none_change_nothing(film: Film, typed: str, why: str) -> None:
    film.filter("error")
    with pytest.raises(InvalidInput, match=why):
        film.filter(typed)
    assert (film.filtered, film.cursor.choice) == ("error", Choice(errors=True))


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        ("", None), ("t", "type:"), ("ta", "task:"), ("err", "error"), ("error", None), ("x", None), ("error ", None),
        ("error ag", "error agent:"), ("agent:", "agent:analyzer"), ("agent:t", "agent:tester"), ("agent:tester", None),
        ("error type:world.v", "error type:world.violated"), ("worker:worker-2", None), ("until:1", None),
    ],
)  # fmt: skip
def test_what_is_typed_is_completed(film: Film, typed: str, made: str | None) -> None:
    assert completed(typed, film.values()) == made


def test_a_row_is_told_also_of_an_event_that_is_not_listed(film: Film) -> None:
    film.filter("error")
    assert not film.sift()
    first = film.rows[0]
    film.jump(first - 1)
    assert film.row == -1
    film.jump(first + 10)
    assert film.rows[film.row] < first + 10


def test_what_is_sought_is_found_whatever_the_filter(film: Film) -> None:
    film.find()
    assert film.message == "nothing is sought yet"
    film.filter("type:mission")
    film.search("type:world.violated")
    assert film.cursor.event is not None
    assert film.cursor.event.type == "world.violated"
    film.find()
    assert "no event with 'type:world.violated' from here on" in film.message
    film.step()
    film.find(-1)
    assert film.cursor.event.type == "world.violated"
    with pytest.raises(InvalidInput):
        film.search("since:never")
    assert film.sought == "type:world.violated"


def test_a_running_mission_grows_under_the_viewer(clock: Clock) -> None:
    events = HistoryFile(REPAIR).read()
    cursor = scene_cursor(events[0].tenant, events[0].mission)
    cursor.extend(events[:20])
    film = Film(cursor, Pace(clock), live=True)
    film.filter("type:*.*")
    film.sift()
    film.last()
    assert film.tick() == math.inf
    film.extend(events[20:22])
    clock.now += 100
    assert film.tick() == math.inf
    assert cursor.position == 22
    film.sift()
    assert list(film.rows) == list(range(1, 23))
    film.extend(events[22:])
    assert film.lanes.end == max(about.moment for about in cursor.about)


def test_lanes_grow_as_the_whole_film_would_have_them(film: Film) -> None:
    piecewise = Film(scene_cursor("default", ""), Pace(lambda: 0.0))
    events = film.cursor.events
    for place in range(0, len(events), 7):
        piecewise.extend(events[place : place + 7])
    whole, parts = film.lanes, piecewise.lanes
    assert parts.names == whole.names == [
        ("tester", "worker-1"), ("analyzer", "worker-1"), ("coder", "worker-1"),
        ("coder", "worker-2"), ("tester", "worker-2"), ("integrator", "worker-1"),
    ]  # fmt: skip
    for number in (1, 60, 120, 175):
        now = film.cursor.about[number - 1].moment
        assert [parts.drawn(lane, now, 60) for lane in range(6)] == [whole.drawn(lane, now, 60) for lane in range(6)]
        assert parts.ruler(now, 60) == whole.ruler(now, 60)


def test_a_lane_tells_what_was_and_hides_how_the_present_ends(film: Film) -> None:
    lanes = film.lanes
    assert lanes.drawn(0, lanes.begin, 40).plain.lstrip("│ ▁") == ""
    started = next(n for n, event in enumerate(film.cursor.events) if event.type == "attempt.started")
    at = film.cursor.about[started].moment
    assert [lanes.doing(lane, at) for lane in range(6)] == ["working", "", "", "", "", ""]
    early = lanes.drawn(0, at + timedelta(seconds=2), 40)
    assert {str(span.style) for span in early.spans if early.plain[span.start] == "▇"} == {"cyan"}
    late = lanes.drawn(0, lanes.end, 40)
    assert {str(span.style) for span in late.spans if late.plain[span.start] == "▇"} == {"green"}
    assert "✗" in lanes.ruler(lanes.begin, 40).plain
    assert lanes.cell(lanes.moment(17, 40), 40) in (17, 18)


def test_times_in_which_nothing_happened_are_short_on_the_axis() -> None:
    recorded = HistoryFile(REPAIR).read()
    later = [replace(event, mission="later", time=shifted(event, timedelta(hours=5))) for event in recorded]
    film = Film(scene_cursor("default", ""), Pace(lambda: 0.0))
    film.extend(recorded)
    film.extend(later)
    lanes, room = film.lanes, 100
    at = [lanes.cell(about.moment, room) for about in film.cursor.about]
    half, hole = len(recorded), lanes.cell(film.cursor.about[len(recorded)].moment, room)
    assert max(at[:half]) < 45 < 55 < hole == min(at[half:])
    assert lanes.ruler(lanes.begin, room).plain[hole] == "┊"
    assert lanes.length_s > 5 * 3600
    for cell in (0, 20, 40, 70, 99):
        assert abs(lanes.cell(lanes.moment(cell, room), room) - cell) <= 1
    inside = film.cursor.about[half].moment - timedelta(hours=1)
    assert max(at[:half]) <= lanes.cell(inside, room) <= hole


def test_long_work_is_long_on_the_axis() -> None:
    recorded = HistoryFile(REPAIR).read()
    started = next(n for n, event in enumerate(recorded) if event.type == "attempt.started") + 1
    events = [*recorded[:started], *(replace(one, time=shifted(one, timedelta(hours=1))) for one in recorded[started:])]
    film = Film(scene_cursor("default", ""), Pace(lambda: 0.0))
    film.extend(events)
    assert film.lanes.cell(film.cursor.about[started].moment, 100) >= 98


def test_a_film_without_events_can_be_told_of() -> None:
    film = Film(scene_cursor("default", "m"), Pace(lambda: 0.0), live=True)
    assert film.lanes.ruler(film.lanes.begin, 10).plain == "●─────────"
    assert "0/0" in texts.title(film)
    assert texts.change_lines(film) == ["[dim]before the first event[/]"]
    film.step()
    assert film.message == "this is the last event"


def everything(outline: Outline) -> list[Item]:
    found: list[Item] = []
    waiting = list(outline.top())[::-1]
    while waiting:
        found.append(waiting.pop())
        waiting += list(outline.inside(found[-1].key))[::-1]
    return found


def test_the_outline_has_agents_goals_and_tasks(film: Film) -> None:
    film.jump(60)
    items = everything(Outline(film.cursor.state, Names()))
    told = [plain(item.text) for item in items]
    assert told[0].startswith("▸ coder worker-1 repair.needless-f-strings.fix")
    assert "2 agents without work" in told
    places = [
        told.index(line)
        for line in (  # goals and tasks as the plan has them, who has what in hand
            "✓ Understand the repository 2/2",
            "✓ baseline succeeded",
            "✓ analyze succeeded",
            "● Improve it group by group 2/14",
            "✓ repair.modern-syntax.fix succeeded",
            "· repair.modern-syntax.check ready",
            "▸ repair.needless-f-strings.fix coder worker-1",
            "· repair.needless-f-strings.check waiting",
            "● Put the groups together and prove the whole 0/2",
        )
    ]
    assert places == sorted(places)
    assert len({item.key for item in items}) == len(items)
    film.last()
    told = [plain(item.text) for item in everything(Outline(film.cursor.state, Names()))]
    assert any(line.startswith("✗ repair.mutable-defaults.check failed 1 test is worse") for line in told)


def test_the_panels_tell_of_mission_world_notes_and_event(film: Film) -> None:
    assert list(texts.scratchpad_lines(film.cursor.state)) == ["[dim]no task has noted anything yet[/]"]
    assert list(texts.world_lines(film)) == ["[dim]the world holds nothing of this mission yet[/]"]
    assert texts.event_lines(film.cursor.event) == []
    film.last()
    told = "\n".join(map(plain, texts.mission_lines(film.cursor.state)))
    assert "objective  Repair orders" in told
    assert "1 failed" in told
    assert "inputs" in told
    assert "result" in told
    assert "tool_calls" in "\n".join(map(plain, texts.world_lines(film)))
    assert any('"type": "mission.completed"' in line for line in texts.event_lines(film.cursor.event))
    film.go_to("60")
    first, *rest = map(plain, texts.change_lines(film))
    assert first.endswith("agent.acted")
    assert rest[0].startswith("  agent worker-1/coder saying: ")


def test_the_status_line_tells_filters_and_searches(film: Film) -> None:
    assert plain(texts.status_line(film)) == "175 events · 12s long"
    film.filter("error [bold]")
    film.search("zzz")
    assert plain(texts.status_line(film)) == "no event with 'zzz' from here on"
    film.step(-1)
    film.message = ""
    film.sift()
    assert plain(texts.status_line(film)) == "filtered error [bold] 0 of 175 · 12s long · sought zzz"


def test_files_that_are_no_history(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    with pytest.raises(InvalidInput, match="cannot read"):
        HistoryFile(path).read()
    path.write_text('{"a": 1}\n')
    with pytest.raises(InvalidInput, match="line 1 is no CloudEvent"):
        HistoryFile(path).read()
    lines = REPAIR.read_text().splitlines()[0]
    path.write_text(f"{lines}\n\n{lines.replace('01a1fd41-24cc-70dc-8db2-ad83ba59c795', 'other')}\n")
    with pytest.raises(InvalidInput, match="several missions"):
        HistoryFile(path).read()
