"""The player in terminals of all sizes, with missions that run and films that are long; in Textual's own harness."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from functools import partialmethod
from typing import TYPE_CHECKING

import pytest
from textual.app import App
from textual.widgets import Static, TabbedContent

from events.replay import Cursor, HistoryFile, Pace
from schemas.errors import Unavailable
from stigmergy.cli.player.app import PlayerApp
from stigmergy.cli.player.event_list import EventList
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.play import play
from stigmergy.cli.player.screen import FilmScreen
from stigmergy.cli.player.timeline_view import LaneRows
from stigmergy.cli.recordings import Recording
from stigmergy.replaying import Scene, scene_cursor
from stigmergy.world_panel import world_fold
from tests.core.player_viewer import REPAIR, Clock, Viewer, viewer

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from schemas.envelope import Event


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


async def test_a_flaw_of_the_player_is_told_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def flawed(_: FilmScreen) -> None:
        raise ZeroDivisionError

    async def press(pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")

    monkeypatch.setattr(FilmScreen, "action_help", flawed)
    monkeypatch.setattr(PlayerApp, "run_async", partialmethod(App.run_async, headless=True, auto_pilot=press))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    events = HistoryFile(REPAIR).read()
    cursor: Cursor[Scene] = scene_cursor("default", events[0].mission)
    cursor.extend(events)
    record = Recording("default", events[0].mission, events, HistoryFile(REPAIR))
    with pytest.raises(SystemExit) as ended:
        await play(cursor, Pace(Clock()), record, live=False)
    assert ended.value.code == 1


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


async def test_the_event_at_hand_is_in_sight_while_a_filter_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Film.sift, "__defaults__", (20,))
    async with viewer() as one:
        await one.press("end", "/", *"type:*.*", "enter")
        await one.pilot.pause(0.8)
        events = one.screen.query_one(EventList)
        assert len(one.film.rows) == 175
        assert 0 <= one.film.row - events.scroll_offset.y < events.size.height


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
