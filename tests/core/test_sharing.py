"""Sharing partitions out: everybody has as many, as few move as can be, and the order of the steps does not matter."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.leadership.sharing import share_out
from schemas.leaders import part_of

NAMES = ("a", "b", "c", "d", "e", "f", "g")
members = st.sets(st.sampled_from(NAMES), min_size=1)
sizes = st.integers(1, 40)


@st.composite
def owned(draw: st.DrawFn) -> tuple[int, dict[int, str]]:
    size = draw(sizes)
    return size, draw(st.dictionaries(st.integers(0, size - 1), st.sampled_from(NAMES)))


@given(owned(), members)
def test_each_partition_has_one_owner_and_all_have_as_many(state: tuple[int, dict[int, str]], here: set[str]) -> None:
    size, owners = state
    wanted = share_out(size, owners, here)
    assert sorted(wanted) == list(range(size))
    assert set(wanted.values()) <= here
    counts = [list(wanted.values()).count(member) for member in here]
    assert max(counts) - min(counts) <= 1


@given(owned(), members)
def test_no_even_sharing_moves_fewer(state: tuple[int, dict[int, str]], here: set[str]) -> None:
    size, owners = state
    wanted = share_out(size, owners, here)
    kept = sum(owners.get(part) == member for part, member in wanted.items())
    # The most that can stay: shares of q+1 for those who have more than q, as many as there are, and q for the others.
    least, larger = divmod(size, len(here))
    counts = sorted((sum(1 for owner in owners.values() if owner == member) for member in here), reverse=True)
    assert kept == sum(min(count, least + (place < larger)) for place, count in enumerate(counts))


@given(owned(), members, st.randoms(use_true_random=False))
def test_carried_out_step_by_step_in_any_order_it_ends_and_nothing_moves_twice(
    state: tuple[int, dict[int, str]], here: set[str], chance: Random
) -> None:
    size, owners = state
    now = {part: owner for part, owner in owners.items() if owner in here}
    moved = set[int]()
    for _ in range(2 * size):
        wanted = share_out(size, now, here)
        steps = [part for part in range(size) if now.get(part) != wanted[part]]
        if not steps:
            break
        part = chance.choice(steps)
        if part in now:
            assert part not in moved, "given back by who has just taken it"
            del now[part]
        else:
            now[part] = wanted[part]
            moved.add(part)
    assert share_out(size, now, here) == now


@given(owned(), members)
def test_shares_that_are_even_stay_as_they_are(state: tuple[int, dict[int, str]], here: set[str]) -> None:
    size, owners = state
    wanted = share_out(size, owners, here)
    assert share_out(size, wanted, here) == wanted


def test_nobody_shares_nothing() -> None:
    assert share_out(4, {0: "a"}, ()) == {}


@pytest.mark.parametrize(
    ("tenant", "mission", "part"), [("default", "m1", 21), ("acme", "m1", 12), ("default", "repair-0193", 20)]
)
def test_a_mission_stays_in_its_partition_in_every_release(tenant: str, mission: str, part: int) -> None:
    assert part_of(tenant, mission, 32) == part


def test_missions_spread_over_partitions() -> None:
    counts = [0] * 32
    for number in range(3200):
        counts[part_of("default", f"m{number}", 32)] += 1
    assert min(counts) > 50
    assert max(counts) < 200
