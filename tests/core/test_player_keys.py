"""What the keys of the player do, and what is typed into its prompts; in Textual's own harness."""

from __future__ import annotations

import math

import pytest
from textual.command import CommandPalette
from textual.events import Key
from textual.widgets import Input

from events.replay import HistoryFile
from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.event_list import EventList
from stigmergy.cli.player.help import Help
from stigmergy.cli.player.keys import KEYS
from stigmergy.cli.player.prompt import Prompt
from tests.core.player_viewer import REPAIR, Clock, film_of, viewer


async def test_it_plays_when_it_opens_and_space_holds() -> None:
    async with viewer() as one:
        assert "▶ 0.1x" in one.says("title")
        assert one.at == 1
        one.clock.now += 1000
        one.screen.advance()
        assert one.at > 1
        await one.press("space")
        assert "‖ 0.1x" in one.says("title")
        held = one.at
        one.clock.now += 1000
        one.screen.advance()
        assert one.at == held
        await one.press("space")
        assert "▶" in one.says("title")


async def test_every_key_of_movement() -> None:
    async with viewer() as one:
        await one.press("home")
        for key, there in (
            ("right", 1), ("down", 2), ("left", 1), ("pagedown", 11), ("up", 10), ("pageup", 0), ("end", 175),
            ("pageup", 165), ("home", 0), ("e", 120), ("e", 121), ("E", 120),
        ):  # fmt: skip
            await one.press(key)
            assert one.at == there, key
            assert f"{there}/175" in one.says("title")
        assert "worse than before" in one.says("changes")
        await one.press("E")
        assert one.says("status") == "no error before this"
        await one.press("left")
        assert one.says("status") == "175 events · 12s long"


async def test_keys_that_come_quickly_keep_their_order() -> None:
    async with viewer() as one:
        await one.press("end")
        for key in ("home", "down", "right", "space"):
            one.app.post_message(Key(key, " " if key == "space" else None))
        await one.pilot.pause(0.1)
        assert (one.at, one.film.pace.paused) == (2, False)


async def test_speed_keys_and_the_speeds_of_the_palette() -> None:
    async with viewer() as one:
        await one.press("left_square_bracket", "right_square_bracket", "shift+right", "]", "shift+left")
        assert one.film.pace.speed == 0.5
        commands = {command.title: command for command in one.app.get_system_commands(one.screen)}
        commands["Speed max"].callback()
        await one.pilot.pause(0.2)
        assert one.film.pace.speed == math.inf
        assert one.at == 175
        commands["Speed 0.1x"].callback()
        commands["Panel world"].callback()
        await one.pilot.pause()
        assert (one.film.pace.speed, one.screen.panel) == (0.1, "world")
        assert {"Filter", "Find", "Go to", "Copy event", "Theme", "Help on keys"} <= commands.keys()


async def test_the_palette_opens_and_obeys() -> None:
    async with viewer() as one:
        await one.press("ctrl+p")
        await one.pilot.pause()
        assert isinstance(one.app.screen, CommandPalette)
        one.app.screen.query_one(Input).value = "panel mission"
        await one.pilot.pause(0.5)
        await one.pilot.press("enter")
        await one.pilot.pause(0.2)
        assert one.screen.panel == "mission"


async def test_going_to_an_event() -> None:
    async with viewer() as one:
        await one.press("g")
        assert isinstance(one.app.screen, Prompt)
        assert one.film.pace.paused
        await one.type("12x")
        assert isinstance(one.app.screen, Prompt)
        assert "'12x' is no event" in one.says("told")
        await one.press("backspace")
        await one.type("0")
        assert one.app.screen is one.screen
        assert one.at == 120
        await one.press("g")
        await one.type("[bold]")
        assert "'[bold]' is no event" in one.says("told")
        await one.press("escape")
        assert (one.app.screen, one.at) == (one.screen, 120)
        await one.press("g")
        await one.type("seq:79")
        assert one.at == 60


async def test_typing_faster_than_a_prompt_closes_does_no_harm() -> None:
    async with viewer() as one:
        await one.press("g")
        line = one.app.screen.query_one(Input)
        for typed in ("6", "67", "676"):
            line.post_message(Input.Submitted(line, typed))
        await one.pilot.pause(0.1)
        assert (one.app.screen, one.at) == (one.screen, 6)


async def test_keys_are_letters_while_one_types() -> None:
    async with viewer() as one:
        await one.press("home", "f")
        await one.press(*"qeEgfnN/?c[]", "space", "left", "tab")
        assert isinstance(one.app.screen, Prompt)
        assert one.app.screen.query_one(Input).value == "qeEgfnN/?c[] "
        assert one.at == 0


async def test_a_filter_is_counted_while_it_is_typed_and_lists_what_it_chooses() -> None:
    async with viewer() as one:
        await one.press("home", "slash")
        await one.pilot.pause(0.3)
        assert one.says("told").startswith("175 of 175 events")
        await one.press(*"type:world.*")
        await one.pilot.pause(0.3)
        assert one.says("told") == "18 of 175 events"
        await one.press("enter")
        assert one.says("status").startswith("filtered type:world.* 18 of 175")
        events = one.screen.query_one(EventList)
        assert events.virtual_size.height == 18
        await one.press("right", "right")
        assert one.at == one.film.rows[1]
        await one.press("/")
        await one.type("")
        assert events.virtual_size.height == 175


async def test_tab_completes_what_is_typed() -> None:
    async with viewer() as one:
        await one.press("/", *"ag", "tab", "t", "tab")
        line = one.app.screen.query_one(Input)
        assert line.value == "agent:tester"
        await one.press("tab", "space", *"ta", "tab", *"ver", "right")
        assert line.value == "agent:tester task:verify"
        await one.press("enter")
        assert one.film.filtered == "agent:tester task:verify"


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("since:25:99", "no time of day"),
        ("until:soon", "no time"),
        ("agent:", "says nothing; for instance agent:tester"),
    ],
)
async def test_a_bad_filter_says_so_and_can_be_mended(typed: str, why: str) -> None:
    async with viewer() as one:
        await one.press("/")
        await one.type(typed)
        assert isinstance(one.app.screen, Prompt)
        assert why in one.says("told")
        assert one.app.screen.query_one("#told").has_class("wrong")
        await one.press("ctrl+u")
        await one.type("error")
        assert one.app.screen is one.screen
        assert one.film.filtered == "error"
        await one.press("/", "up")
        assert one.app.screen.query_one(Input).value == "error"
        await one.press("down")
        assert one.app.screen.query_one(Input).value == ""


async def test_finding_goes_on_and_back() -> None:
    async with viewer() as one:
        await one.press("home", "n")
        assert one.says("status") == "nothing is sought yet"
        await one.press("f")
        await one.type("type:mission.extended")
        found = one.at
        assert one.film.cursor.events[found - 1].type == "mission.extended"
        await one.press("n")
        assert "no event with" in one.says("status")
        await one.press("right", "N")
        assert one.at == found


async def test_ctrl_c_gives_a_prompt_up_and_copies_what_is_marked_in_it() -> None:
    async with viewer() as one:
        await one.press("/", *"error", "shift+home", "ctrl+c")
        assert one.app.clipboard == "error"
        assert isinstance(one.app.screen, Prompt)
        await one.press("end", "ctrl+c")
        assert one.app.screen is one.screen
        assert one.film.filtered == ""


async def test_the_help_tells_of_every_key() -> None:
    async with viewer() as one:
        await one.press("question_mark")
        assert isinstance(one.app.screen, Help)
        await one.press("escape")
        assert one.app.screen is one.screen
        explained = [key for one in KEYS if one.shown for key in one.shown.split()]
        assert {"space", "→", "]", "e", "E", "g", "/", "f", "n", "N", "tab", "c", "ctrl+c", "q"} <= set(explained)
        assert all(hasattr(one.screen, f"action_{key.action.partition('(')[0]}") or "." in key.action for key in KEYS)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+d", "ctrl+q"])
async def test_it_is_left(key: str) -> None:
    clock = Clock()
    app = PlayerApp(film_of(HistoryFile(REPAIR).read(), clock))
    async with app.run_test() as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert not app.is_running
    assert app.return_code == 0
