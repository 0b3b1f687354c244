"""Anybody may put nonsense on a bus: the fold of the world does not fall over it, and what it makes can be stored."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from projections.world import World, evolve, fold
from projections.world.codec import TYPES, decode, encode, plain
from projections.world.effects import Effects, effects
from projections.world.fold import FOLDED_TYPES
from projections.world.keys import PARTS, Keys, tag
from schemas.envelope import Event
from schemas.events import payload_types
from tests.core.world_events import Story, mixed, tree

_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False), st.text(max_size=5)
)
_VALUES = st.one_of(
    _PLAIN, st.lists(_PLAIN, max_size=2), st.dictionaries(st.sampled_from(("tree", "files", "id", "x")), _PLAIN)
)
_NAMES = st.sampled_from(("one", "two", "nobody", "w1"))


def _story() -> Story:
    story = Story("one", "two")
    story.write("one", tree(0), tree(1), {"a.py": "added"})
    story.begin("two", tree(1))
    return story


STORY = _story()


@st.composite
def nonsense(draw: st.DrawFn) -> Event:
    """An event of a type that is folded, whose fields are right, wrong, or not there."""
    kind = draw(st.sampled_from(sorted(FOLDED_TYPES)))
    known = payload_types().get(kind)
    fields = list(known.model_fields) if known is not None else ["worker"]
    data: dict[str, Any] = {}
    for name in fields:
        if draw(st.booleans()):
            data[name] = draw(_VALUES)
    for name, good in (("task", _NAMES), ("worker", _NAMES), ("attempt", st.sampled_from((1, 1, 2, 10**25)))):
        if name in fields:
            data[name] = draw(good)
    if "outcome" in fields:
        data["outcome"] = draw(st.sampled_from(("succeeded", "failed", "odd")))
    if "observation" in fields:
        report = {
            "outcome": "passed",
            "passed": draw(st.integers(0, 10**25)),
            "cases": [{"id": "t", "outcome": "passed"}],
        }
        data["observation"] = {"tests": report, "changes": {"a.py": draw(st.text(max_size=3))}, "duration_s": 1e308}
    number = draw(st.integers(1, 10**6))
    mission = draw(st.sampled_from(("m", "m", "new", "_")))
    raw = msgspec.Raw(to_json(data))
    return Event(
        id="x", source="/", type=kind, time=draw(st.sampled_from(("", "2026-01-01T00:00:00Z", "never"))), tenant="t",
        mission=mission, sequence=number, data=raw,
    )  # fmt: skip


@given(st.lists(nonsense(), max_size=6))
@settings(max_examples=100, deadline=None)
def test_nonsense_is_folded_or_counted_and_can_be_stored(events: list[Event]) -> None:
    after = fold(events, STORY.world)
    made = effects(STORY.world, after, sorted(after.missions), Keys("t", 1), keep_s=1e12, now_s=0.0)
    assert isinstance(made, Effects)
    for mission in after.missions.values():
        for part in PARTS:
            for value in getattr(mission, part).values():
                assert decode(part, encode(value)) == value
        assert decode("mission", encode(mission.state)) == mission.state
        assert sum(mission.state.tasks.values()) == len(mission.tasks)
    for agent in after.agents.values():
        assert decode("agents", encode(agent)) == agent


def test_everything_is_stored_and_shown() -> None:
    world = fold([event for event in mixed(4) if event.tenant == "t0"], World("t0"))
    [mission, *_] = world.missions.values()
    shown = plain(mission.state)
    assert shown["status"] == mission.state.status
    assert set(TYPES) == {"mission", "agents", *PARTS}
    for part in PARTS:
        for value in getattr(mission, part).values():
            assert decode(part, encode(value)) == value


def test_all_keys_of_a_tenant_have_its_tag() -> None:
    world = World("acme")
    events = [msgspec.structs.replace(event, tenant="acme") for event in mixed(4, tenants=1)]
    after = world
    for event in events:
        after = evolve(after, event)
    made = effects(world, after, sorted(after.missions), Keys("acme", 7), keep_s=1e12, now_s=0.0)
    assert len(made.keys) > 5
    assert {tag(key) for key in made.keys} == {"acme"}
    keys = Keys("acme", 7)
    assert {tag(key) for key in (keys.pointer, keys.meta, keys.channel, keys.missions, keys.agents)} == {"acme"}
