"""The player as an app: every key, the mouse, sizes, prompts; in Textual's own harness, without a terminal."""

from __future__ import annotations

import asyncio
import gc
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.command import CommandPalette
from textual.widgets import Input, Static, TabbedContent

from events.replay import Cursor, HistoryFile, Pace
from schemas.errors import Unavailable
from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.event_list import EventList
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.help import Help
from stigmergy.cli.player.keys import KEYS
from stigmergy.cli.player.play import play
from stigmergy.cli.player.prompt import Prompt
from stigmergy.cli.player.rows import Pane
from stigmergy.cli.player.screen import PANELS, FilmScreen
from stigmergy.cli.player.task_tree import TaskTree
from stigmergy.cli.player.timeline_view import LaneRows, Ruler, name_room
from stigmergy.cli.recordings import Recording
from stigmergy.replaying import Scene, scene_cursor
from stigmergy.world_panel import world_fold

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from schemas.envelope import Event

REPAIR = Path(__file__).parents[1] / "replay" / "histories" / "repair.ndjson"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Viewer:
    """One who sits before the player."""

    def __init__(self, pilot: Pilot[None], app: PlayerApp, clock: Clock) -> None:
        self.pilot = pilot
        self.app = app
        self.film = app.film
        self.screen: FilmScreen = app.films
        self.clock = clock

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Letter by letter, and enter."""
        await self.press(*("space" if letter == " " else letter for letter in text), "enter")

    @property
    def at(self) -> int:
        return self.film.cursor.position

    def says(self, name: str) -> str:
        """What a line or a panel has to say."""
        widget = self.app.screen.query_one(f"#{name}")
        if isinstance(widget, Pane):
            return "\n".join(widget.row_text(row).plain for row in range(widget.virtual_size.height))
        assert isinstance(widget, Static)
        return str(widget.visual)

    def tree(self) -> list[str]:
        tree = self.screen.query_one(TaskTree)
        lines = (tree.get_node_at_line(line) for line in range(tree.last_line + 1))
        return [str(node.label) for node in lines if node is not None]


def film_of(events: Sequence[Event], clock: Clock, *, live: bool = False) -> Film:
    cursor: Cursor[Scene] = scene_cursor("default", events[0].mission, world=world_fold())
    cursor.extend(events)
    return Film(cursor, Pace(clock, speed=0.1), world=world_fold(), live=live)


@asynccontextmanager
async def viewer(
    size: tuple[int, int] = (120, 40), events: Sequence[Event] | None = None, *, live: bool = False
) -> AsyncIterator[Viewer]:
    clock = Clock()
    app = PlayerApp(film_of(events or HistoryFile(REPAIR).read(), clock, live=live))
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Viewer(pilot, app, clock)
    assert app.return_code in (0, None)


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


async def test_panels_turn_and_tell_the_state() -> None:
    async with viewer() as one:
        await one.press("end")
        assert "✓ Repair orders 18/18 1 ✗" in one.tree()
        told = {}
        for name in (*PANELS[1:], PANELS[0]):
            await one.press("tab")
            assert one.screen.panel == name
            if name != "tasks":
                told[name] = one.says(name)
        assert "objective  Repair orders" in told["mission"]
        assert "no task has noted anything yet" in told["notes"]
        assert "tool_calls" in told["world"]
        assert '"type": "mission.completed"' in told["event"]
        await one.press("shift+tab")
        assert one.screen.panel == "event"
        await one.pilot.click(f"#{one.screen.query('ContentTab')[1].id}")
        await one.pilot.pause()
        assert one.screen.panel == "mission"
        assert isinstance(one.screen.focused, EventList)


async def test_a_panel_in_focus_scrolls_and_the_film_still_steps_with_left_and_right() -> None:
    async with viewer() as one:
        await one.press("end", "tab", "tab", "tab", "enter")
        world = one.screen.query_one("#world", Pane)
        assert one.screen.focused is world
        await one.press("down", "down")
        await one.pilot.pause(0.4)
        assert (world.scroll_offset.y, one.at) == (2, 175)
        await one.press("left", "tab")
        assert one.at == 174
        assert one.screen.focused is one.screen.query_one("#event")
        await one.press("escape", "up")
        assert one.at == 173


async def test_branches_stay_as_the_viewer_left_them() -> None:
    async with viewer() as one:
        await one.press("g")
        await one.type("60")
        assert "▸ repair.needless-f-strings.fix coder worker-1" in one.tree()
        tree = one.screen.query_one(TaskTree)
        await one.press("enter")
        assert one.screen.focused is tree
        line = one.tree().index("● Repair orders 4/18")
        tree.cursor_line = line
        await one.press("enter")
        assert len(one.tree()) == line + 1
        await one.press("right", "left", "right")
        assert len([text for text in one.tree() if "repair." in text and "." in text.split()[1]]) <= 2
        await one.press("escape", "end")
        assert one.tree()[-1] == "✓ Repair orders 18/18 1 ✗"


async def test_a_task_of_the_tree_offers_itself_as_a_filter() -> None:
    async with viewer() as one:
        await one.press("end", "enter")
        tree = one.screen.query_one(TaskTree)
        tree.cursor_line = next(n for n, text in enumerate(one.tree()) if text.startswith("✓ baseline"))
        await one.press("enter")
        assert isinstance(one.app.screen, Prompt)
        assert one.app.screen.query_one(Input).value == "task:baseline"
        await one.press("enter")
        assert one.film.filtered == "task:baseline"


async def test_the_mouse_chooses_events_moments_and_lanes() -> None:
    async with viewer() as one:
        await one.press("home", "space", "space")
        await one.pilot.click("#events", offset=(20, 6))
        assert one.at == 6
        ruler = one.screen.query_one(Ruler)
        width, names = ruler.size.width, name_room(ruler.size.width)
        await one.pilot.click("#ruler", offset=(1 + names + (width - names) // 2, 0))
        await one.pilot.pause()
        shown = one.film.lanes.cell(one.film.moment or one.film.lanes.begin, width - names)
        assert abs(shown - (width - names) // 2) <= 25
        middle = one.at
        await one.pilot.mouse_down("#lanes", offset=(1 + names + 10, 1))
        await one.pilot.hover("#lanes", offset=(width - 2, 1))
        await one.pilot.mouse_up("#lanes", offset=(width - 2, 1))
        await one.pilot.pause()
        assert one.at > middle
        await one.pilot.click("#lanes", offset=(5, 1))
        await one.pilot.pause()
        assert isinstance(one.app.screen, Prompt)
        assert one.app.screen.query_one(Input).value == "agent:analyzer worker:worker-1"


async def test_the_wheel_scrolls_the_list_and_leaves_the_film_where_it_is() -> None:
    async with viewer() as one:
        await one.press("home", "right")
        events = one.screen.query_one(EventList)
        events.scroll_down(animate=False)
        events.scroll_down(animate=False)
        await one.pilot.pause()
        assert (events.scroll_offset.y, one.at) == (2, 1)
        await one.press("right")
        assert events.scroll_offset.y == 0


async def test_text_is_marked_and_copied() -> None:
    async with viewer() as one:
        await one.press("end", "left")
        await one.pilot.mouse_down("#changes", offset=(3, 0))
        await one.pilot.hover("#changes", offset=(12, 0))
        await one.pilot.mouse_up("#changes", offset=(12, 0))
        await one.pilot.pause()
        marked = one.screen.get_selected_text()
        assert marked
        assert marked in one.says("changes")
        await one.press("ctrl+c")
        assert one.app.clipboard == marked
        assert one.app.is_running
        await one.press("escape")
        assert one.screen.get_selected_text() is None
        await one.press("c")
        assert one.app.clipboard.startswith('{"specversion":"1.0"')
        assert "clipboard" in one.says("status")
        await one.press("home", "c")
        assert one.says("status") == "there is no event before the first"


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


async def test_ctrl_c_gives_a_prompt_up_and_copies_what_is_marked_in_it() -> None:
    async with viewer() as one:
        await one.press("/", *"error", "shift+home", "ctrl+c")
        assert one.app.clipboard == "error"
        assert isinstance(one.app.screen, Prompt)
        await one.press("end", "ctrl+c")
        assert one.app.screen is one.screen
        assert one.film.filtered == ""


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24), (59, 20), (30, 8), (10, 4), (1, 1)])
async def test_every_size_is_drawn(size: tuple[int, int]) -> None:
    async with viewer(size) as one:
        for key in ("home", "right", "end", "e", "tab", "tab", "tab", "tab", "E"):
            await one.press(key)
        await one.press("question_mark", "escape", "/", "a", "escape")
        assert one.app.screen is one.screen


async def test_a_size_that_changes_is_followed() -> None:
    async with viewer((120, 40)) as one:
        await one.press("e", "tab", "tab", "tab")
        for width, height in ((80, 24), (40, 10), (200, 60), (120, 40)):
            await one.pilot.resize_terminal(width, height)
            await one.pilot.pause()
            assert one.screen.query_one(TabbedContent).display is (width >= 60)
            assert one.screen.query_one(LaneRows).display is (height >= 14)
            events = one.screen.query_one(EventList)
            assert 0 <= one.film.row - events.scroll_offset.y < events.size.height


async def test_a_running_mission_is_followed_at_its_end() -> None:
    events = HistoryFile(REPAIR).read()
    async with viewer(events=events[:20], live=True) as one:
        await one.press("end")
        assert "live" in one.says("title")
        one.film.extend(events[20:22])
        one.clock.now += 1000
        one.app.changed()
        one.app.changed()
        await one.pilot.pause(0.2)
        assert one.at == 22
        await one.press("home")
        one.film.extend(events[22:])
        one.app.changed()
        await one.pilot.pause(0.2)
        assert "0/175" in one.says("title")


class Source:
    """Hands out some events, and then fails or waits."""

    def __init__(self, events: Sequence[Event], *, fails: bool) -> None:
        self._events = events
        self._fails = fails

    async def events(self, *, follow: bool, after: int = 0) -> AsyncIterator[Event]:
        assert follow
        for event in self._events:
            yield event
            await asyncio.sleep(0.01)
        if self._fails:
            raise Unavailable("the log is gone", hint="start it again")
        await asyncio.Event().wait()


@pytest.mark.parametrize("fails", [True, False])
async def test_the_player_ends_with_its_viewer_or_with_its_log(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    events = HistoryFile(REPAIR).read()
    seen: list[int] = []

    async def watch(app: PlayerApp) -> None:
        async with app.run_test() as pilot:
            for _ in range(100):
                await pilot.pause(0.02)
                seen.append(len(app.film.cursor))
                if not app.is_running or (seen[-1] == 20 and not fails):
                    break
            if not fails:
                await pilot.pause(0.2)
                assert "/20" in str(app.films.query_one("#title", Static).visual)

    monkeypatch.setattr(PlayerApp, "run_async", watch)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    cursor: Cursor[Scene] = scene_cursor("default", events[0].mission)
    cursor.extend(events[:10])
    record = Recording("default", events[0].mission, events[:10], Source(events[10:20], fails=fails))  # type: ignore[arg-type]
    with pytest.raises(Unavailable) if fails else nullcontext():
        await play(cursor, Pace(Clock()), record, live=True)
    assert seen[-1] == 20


async def test_a_far_state_is_folded_piece_by_piece_and_shown_when_it_is_there() -> None:
    hello = HistoryFile(REPAIR.with_name("hello.ndjson")).read()
    clock = Clock()
    cursor: Cursor[Scene] = scene_cursor("default", "", every=2, world=world_fold())
    cursor.extend([*HistoryFile(REPAIR).read(), *hello])
    film = Film(cursor, Pace(clock, paused=True), world=world_fold())
    app = PlayerApp(film)
    async with app.run_test() as pilot:
        one = Viewer(pilot, app, clock)
        film.last()
        app.films.advance()
        assert "folding" in one.says("title")
        for _ in range(50):
            await pilot.pause(0.05)
            if "folding" not in one.says("title"):
                break
        assert "Greet everybody" in one.says("title")


async def test_no_color_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with viewer() as one:
        assert one.app.no_color
        await one.press("end")
        assert "175/175" in one.says("title")


async def test_a_theme_of_the_viewers_choice_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with viewer() as one:
        assert one.app.theme == "stigmergy"
    monkeypatch.setenv("TEXTUAL_THEME", "nord")
    async with viewer() as one:
        assert one.app.theme != "stigmergy"


def test_nothing_but_the_player_waits_for_textual() -> None:
    modules = "stigmergy.cli.main, stigmergy.cli.replay_run, stigmergy.cli.state_screen, stigmergy.cli.player.texts"
    code = f"import sys, {modules}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
