"""The panels of the player, its tree and the mouse; in Textual's own harness."""

from __future__ import annotations

from textual.events import MouseScrollDown
from textual.widgets import Input

from stigmergy.cli.player.event_list import EventList
from stigmergy.cli.player.prompt import Prompt
from stigmergy.cli.player.rows import Pane
from stigmergy.cli.player.screen import PANELS
from stigmergy.cli.player.task_tree import TaskTree
from stigmergy.cli.player.timeline_view import LaneRows, Ruler, name_room
from tests.core.player_viewer import viewer


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
        await one.press("end")
        await one.pilot.pause(0.6)
        assert world.scroll_offset.y == world.max_scroll_y > 2
        await one.press("home")
        await one.pilot.pause(0.6)
        assert (world.scroll_offset.y, one.at) == (0, 175)
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


async def test_the_lane_of_the_event_at_hand_is_in_sight() -> None:
    async with viewer((80, 24)) as one:
        lanes = one.screen.query_one(LaneRows)
        assert lanes.size.height == 3
        for number in range(160, 4, -10):
            one.film.jump(number)
            one.screen.advance()
            await one.pilot.pause()
            at = one.film.lanes.lane(one.film.cursor.about[number - 1])
            assert at is None or 0 <= at - lanes.scroll_offset.y < 3
            if number == 160:  # integrator, the last lane
                assert lanes.scroll_offset.y > 0
        await one.press("home")
        lanes.scroll_to(y=0, animate=False)
        lanes.post_message(MouseScrollDown(lanes, 40, 1, 0, 1, 0, shift=False, meta=False, ctrl=False))
        await one.pilot.pause(0.3)
        assert lanes.scroll_offset.y > 0


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
