"""A fold of the world beside a replay, whichever it is: in the state, in what changed, and in the player."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from immutables import Map
from msgspec import Struct
from msgspec.structs import replace
from rich.text import Text

from events.replay import HistoryFile, Pace
from projections.world import World, fold
from schemas.envelope import Event
from stigmergy.cli.player.film import Film
from stigmergy.cli.player.texts import world_lines
from stigmergy.cli.state_screen import state_document
from stigmergy.replaying import scene_cursor
from stigmergy.world_panel import document, world_fold

HISTORIES = Path(__file__).parents[1] / "replay" / "histories"


class Counted(Struct, frozen=True):
    """How often a type was seen, and in which mission."""

    times: int


class Types:
    """A world that knows of nothing but types of events."""

    def fresh(self, tenant: str) -> Any:
        return Map()

    def evolve(self, world: Any, event: Event) -> Any:
        mine = world.get(event.mission, Map())
        before = mine.get(event.type, Counted(0))
        return world.set(event.mission, mine.set(event.type, replace(before, times=before.times + 1)))

    def parts(self, world: Any, mission: str) -> dict[str, Mapping[str, Any]]:
        return {"types": world[mission]} if mission in world else {}


def test_the_world_is_a_part_of_the_state_of_what_changed_and_of_the_player() -> None:
    events = HistoryFile(HISTORIES / "hello.ndjson").read()
    world = Types()
    cursor = scene_cursor(events[0].tenant, events[0].mission, world=world)
    cursor.extend(events)
    cursor.jump(20)
    document = state_document(cursor, world)
    seen = document["world"]["types"]
    assert sum(each["times"] for each in seen.values()) == 20
    assert [one for one in document["changed"] if one["what"] == "world.types"] == [
        {
            "what": "world.types",
            "name": events[19].type,
            "field": "times",
            "before": seen[events[19].type]["times"] - 1 or None,
            "after": seen[events[19].type]["times"],
        }
    ]
    film = Film(cursor, Pace(lambda: 0.0), world=world)
    shown = [Text.from_markup(line).plain for line in world_lines(film)]
    assert "  mission.planned times 1" in shown


def test_each_mission_of_a_film_has_its_part_of_one_world() -> None:
    hello, repair = (HistoryFile(HISTORIES / f"{name}.ndjson").read() for name in ("hello", "repair"))
    world = Types()
    cursor = scene_cursor(hello[0].tenant, "", world=world)
    cursor.extend([*hello[:10], *repair[:10], *hello[10:20]])
    for place, mission, own in ((10, hello, 10), (11, repair, 1), (20, repair, 10), (30, hello, 20)):
        cursor.jump(place)
        assert cursor.state.mission.id == mission[0].mission
        document = state_document(cursor, world)
        assert sum(each["times"] for each in document["world"]["types"].values()) == own
        assert document["number"] == own
        assert len([one for one in document["changed"] if one["what"] == "world.types"]) == 1


@pytest.mark.parametrize("name", ["hello", "repair", "fork"])
def test_the_read_model_has_every_task_as_the_mission_has_it(name: str) -> None:
    events = HistoryFile(HISTORIES / f"{name}.ndjson").read()
    world = world_fold()
    cursor = scene_cursor(events[0].tenant, events[0].mission, world=world)
    cursor.extend(events)
    for place in range(len(events) + 1):
        scene = cursor.state_at(place)
        assert scene.world.unreadable == 0
        ours = {task: state.status.value for task, state in scene.mission.tasks.items() if state.status.ended}
        mission = scene.world.missions.get(events[0].mission)
        theirs = {t: s.status.value for t, s in mission.tasks.items() if s.status.ended} if mission is not None else {}
        assert ours == theirs, place
    assert document(world, cursor.state_at(len(events)).world, events[0].mission)["budget"]["seconds"] > 0


def test_files_and_tests_of_what_was_taken_over_are_known() -> None:
    events = HistoryFile(HISTORIES / "fork.ndjson").read()
    place = next(number for number, event in enumerate(events) if event.type == "task.adopted")
    report = {"outcome": "passed", "passed": 1, "cases": [{"id": "t::x", "outcome": "passed", "duration_s": 0.1}]}
    said = events[place].data_as_dict() | {
        "product": {"tree": "a" * 40, "files": 3, "size_bytes": 9},
        "observation": {"changes": {"a.py": "modified"}, "tests": report},
    }
    events[place] = replace(events[place], data=msgspec.Raw(msgspec.json.encode(said)))
    world = fold(events[: place + 1], World(events[0].tenant))
    mission = world.missions[events[0].mission]
    assert world.unreadable == 0
    assert mission.state.head == "a" * 40
    assert mission.files["a.py"].writes[0].task == said["task"]
    assert mission.tests["t::x"].outcome == "passed"
