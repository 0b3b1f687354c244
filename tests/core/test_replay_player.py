"""The player: keys, what is due, and what is drawn; without a terminal."""

from __future__ import annotations

import math
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from events.replay import HistoryFile, Pace
from schemas.errors import InvalidInput
from stigmergy.cli.player import Player, choice_of
from stigmergy.cli.player_screen import PlayerScreen
from stigmergy.cli.terminal_keys import keys_in
from stigmergy.replaying import scene_cursor

REPAIR = Path(__file__).parents[1] / "replay" / "histories" / "repair.ndjson"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def player(clock: Clock) -> Player:
    events = HistoryFile(REPAIR).read()
    cursor = scene_cursor(events[0].tenant, events[0].mission)
    cursor.extend(events)
    return Player(cursor, Pace(clock))


def press(player: Player, *keys: str) -> None:
    for key in keys:
        player.press(key)


def drawn(player: Player, width: int = 120, height: int = 40) -> list[str]:
    return [Text.from_markup(line).plain for line in PlayerScreen(player).lines(width, height)]


def test_it_plays_in_recorded_time_and_stops_at_the_end(player: Player, clock: Clock) -> None:
    lived = 0.0
    while (wait := player.tick()) != math.inf:
        clock.now += wait
        lived += wait
    about = player.cursor.about
    assert lived == pytest.approx((about[-1].moment - about[0].moment).total_seconds(), abs=0.05)
    assert player.cursor.position == len(player.cursor)
    press(player, " ", " ")
    assert player.cursor.position == 0


def test_space_holds_and_steps_hold_too(player: Player, clock: Clock) -> None:
    press(player, " ")
    clock.now += 100
    assert player.tick() == math.inf
    assert player.cursor.position == 0
    press(player, "right", "right", "left", "down", "up", "page-down")
    assert player.cursor.position == 11
    press(player, "page-up", "page-up")
    assert player.cursor.position == 0
    press(player, "left")
    assert player.message == "this is the beginning"


def test_errors_and_ends(player: Player) -> None:
    press(player, "e")
    assert player.cursor.event is not None
    assert player.cursor.event.type == "world.violated"
    press(player, "e")
    assert player.cursor.event.type == "task.failed"
    press(player, "E", "E")
    assert player.message == "no error before this"
    press(player, "end", "right")
    assert player.message == "this is the last event"
    assert player.cursor.state.mission.status.ended
    press(player, "home")
    assert player.cursor.position == 0


def test_speed_keys(player: Player) -> None:
    press(player, "]", "]", "[", "shift-right")
    assert player.pace.speed == 5


def test_going_to_an_event(player: Player) -> None:
    press(player, "g", "1", "2", "x", "backspace", "0", "enter")
    assert player.cursor.position == 120
    press(player, "g", *"seq:79", "enter")
    assert player.cursor.position == 60
    press(player, "g", *"9999", "enter")
    assert player.cursor.position == 60
    assert "no event 9999" in player.message
    press(player, "g", "7", "escape")
    assert (player.mode, player.cursor.position) == ("", 60)


def test_filters_are_typed(player: Player) -> None:
    press(player, "home", "/", *"task:verify type:attempt.*", "enter", "right")
    assert player.cursor.event is not None
    assert (player.cursor.event.type, player.cursor.event.subject) == ("attempt.started", "verify")
    press(player, "/", "enter", "left")
    assert player.cursor.position == 166
    assert choice_of("error worker:w-1 lost word", player.cursor.choice).text == "lost word"


def test_a_running_mission_grows_under_the_viewer(clock: Clock) -> None:
    events = HistoryFile(REPAIR).read()
    cursor = scene_cursor(events[0].tenant, events[0].mission)
    cursor.extend(events[:20])
    player = Player(cursor, Pace(clock), live=True)
    press(player, "end")
    assert player.tick() == math.inf
    player.extend(events[20:22])
    clock.now += 100
    assert player.tick() == math.inf
    assert cursor.position == 22
    assert len(player.attempts) == sum(event.type == "attempt.started" for event in events[:22])


@pytest.mark.parametrize(("width", "height"), [(120, 40), (200, 60), (80, 24), (30, 8), (10, 4)])
@pytest.mark.parametrize("number", [0, 1, 60, 175])
def test_it_is_drawn_at_every_size(player: Player, number: int, width: int, height: int) -> None:
    player.cursor.jump(number)
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True)
    console.print(PlayerScreen(player), end="")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("\n") <= height
    assert f"{number}/175" in "".join(drawn(player, 120, 40))


def test_the_screen_tells_who_does_what_and_what_changed(player: Player) -> None:
    press(player, "g", "6", "0", "enter")
    text = "\n".join(drawn(player))
    assert "coder worker-1 repair.needless-f-strings.fix" in text
    assert "agent worker-1/coder saying" in text
    assert "Repair orders" in text
    press(player, "/", *"abc")
    assert "filter" in drawn(player)[-1]
    assert "abc" in drawn(player)[-1]


def test_markup_from_outside_is_text(player: Player) -> None:
    press(player, "g", *"[bold]", "enter")
    assert "'[bold]' is no event" in drawn(player)[-1]


def test_keys_are_read_from_bytes() -> None:
    assert keys_in("\x1b[C\x1b[Dq \x1b[1;2C\r\x7f\x1b[99;9Xé\x1b") == [
        "right", "left", "q", " ", "shift-right", "enter", "backspace", "é", "escape"
    ]  # fmt: skip
    assert keys_in("\x00\x01") == []


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
