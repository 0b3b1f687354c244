"""Who goes next: nobody waits for a crowd, shares follow weights, nobody saves up turns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.admission import Limits
from orchestrator.task_queue.fairness import FairQueue
from orchestrator.task_queue.floor import weight_of
from orchestrator.task_queue.rates import Bucket
from schemas.commands import SubmitMission
from schemas.errors import Busy, InvalidInput
from schemas.ids import uuid7
from schemas.shares import parse_rates, parse_weights


@dataclass(frozen=True)
class One:
    mission: str
    tenant: str = "acme"
    priority: int = 5
    weight: float = 1.0
    number: int = 0


class OneByOne(FairQueue[One]):
    def take_each(self, count: int) -> list[One]:
        return [one for _ in range(count) for one in self.take(1)]


def filled(*crowds: tuple[int, One], tenants: dict[str, float] | None = None, step: float = 2.0) -> OneByOne:
    queue = OneByOne(lambda tenant: (tenants or {}).get(tenant, 1.0), step)
    for count, one in crowds:
        for number in range(count):
            queue.put(One(one.mission, one.tenant, one.priority, one.weight, number))
    return queue


def missions(taken: list[One]) -> Counter[str]:
    return Counter(one.mission for one in taken)


def test_a_small_mission_does_not_wait_for_a_large_one() -> None:
    queue = filled((2000, One("large")))
    queue.take(300)
    for number in range(5):
        queue.put(One("small", number=number))
    assert missions(queue.take(10)) == {"large": 5, "small": 5}


def test_within_a_mission_the_order_is_kept() -> None:
    taken = filled((50, One("a")), (50, One("b"))).take(100)
    for name in "ab":
        assert [one.number for one in taken if one.mission == name] == list(range(50))


def test_shares_follow_weights() -> None:
    taken = filled((1000, One("heavy", weight=3.0)), (1000, One("light"))).take(400)
    assert missions(taken) == {"heavy": 300, "light": 100}


def test_tenants_share_first_and_then_their_missions() -> None:
    crowds = [(500, One(f"m{number}")) for number in range(9)]
    taken = filled(*crowds, (500, One("lonely", tenant="beta"))).take(360)
    assert missions(taken)["lonely"] == 180
    assert {missions(taken)[f"m{number}"] for number in range(9)} == {20}
    weighted = filled((500, One("a")), (500, One("b", tenant="beta")), tenants={"beta": 4.0}).take(100)
    assert missions(weighted) == {"a": 20, "b": 80}


def test_a_higher_priority_goes_first_whoever_asks() -> None:
    queue = filled((3, One("a", priority=5)), (2, One("b", priority=9)))
    first, waiting = queue.first()
    assert (first.mission, waiting) == ("b", 2)
    assert [one.mission for one in queue.take(5)] == ["b", "b"]
    assert missions(queue.take(5)) == {"a": 3}
    assert len(queue) == 0


def test_the_rest_gets_its_share_beside_a_stream_of_urgent_work() -> None:
    taken = filled((4000, One("urgent", priority=9)), (4000, One("rest", priority=7))).take_each(1000)
    assert missions(taken) == {"urgent": 800, "rest": 200}
    level = filled((4000, One("urgent", priority=9)), (4000, One("rest", priority=1)), step=1.0).take_each(1000)
    assert missions(level) == {"urgent": 500, "rest": 500}


def test_a_message_that_holds_many_costs_as_many_turns() -> None:
    queue = filled((4000, One("urgent", priority=6)), (4000, One("rest", priority=5)))
    taken: list[One] = []
    while len(taken) < 1200:
        taken += queue.take(50)
    assert missions(taken) == {"urgent": 800, "rest": 400}


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 9), st.integers(0, 5), st.sampled_from((1.0, 1.5, 2.0)), st.integers())
def test_whatever_comes_later_nobody_waits_longer_than_the_bound(
    priority: int, before: int, step: float, seed: int
) -> None:
    chance = Random(seed)
    others = [other for other in range(10) if other != priority]
    often = chance.sample(others, chance.randint(1, 9))  # a stream of some of the other priorities, which never ends
    queue = filled((before, One("early", priority=priority)), step=step)
    mine = One("mine", priority=priority)
    queue.put(mine)
    bound = (before + 2) * sum(step ** (other - priority) for other in range(10)) + 10
    waited = 0
    while True:
        for other in chance.sample(often, min(len(often), chance.randint(1, 3))):
            queue.put(One("late", priority=other))
        (one,) = queue.take(1)
        if one is mine:
            break
        waited += 1
        assert waited <= bound


def test_who_was_away_has_not_saved_up_turns() -> None:
    queue = filled((1, One("b")), (1000, One("a")))
    queue.take(500)
    for number in range(100):
        queue.put(One("b", number=number))
    assert missions(queue.take(100)) == {"a": 50, "b": 50}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=200), st.data())
def test_nothing_is_lost_and_nobody_is_more_than_a_turn_ahead(
    arrivals: list[tuple[str, str]], data: st.DataObject
) -> None:
    queue: FairQueue[One] = FairQueue()
    for number, (mission, tenant) in enumerate(arrivals):
        queue.put(One(mission, tenant, number=number))
    waiting = Counter((tenant, mission) for mission, tenant in arrivals)
    served: Counter[tuple[str, str]] = Counter()
    taken: list[One] = []
    while len(queue):
        # While nobody has run dry, the missions of a tenant have had the same number of turns, give or take one.
        for tenant in "xy":
            counts = [served[key] for key in waiting if key[0] == tenant]
            if counts and all(served[key] < waiting[key] for key in waiting if key[0] == tenant):
                assert max(counts) - min(counts) <= 1
        batch = queue.take(data.draw(st.integers(1, 3)))
        for one in batch:
            served[one.tenant, one.mission] += 1
        taken += batch
    assert sorted(one.number for one in taken) == list(range(len(arrivals)))


def test_a_bucket_lets_a_rate_through() -> None:
    bucket = Bucket(rate=4.0, filled_at=0.0, tokens=0.0)
    sent = 0
    for tick in range(1, 101):
        allowed = bucket.available(tick / 10)
        bucket.take(allowed)
        sent += allowed
    assert sent == 40
    slow = Bucket(rate=0.5, filled_at=0.0)
    assert slow.available(0.0) == 1
    slow.take(1)
    assert (slow.available(1.0), slow.next_s()) == (0, 1.0)
    assert slow.available(60.0) == 1  # no burst after a rest


def test_rates_and_weights_are_read() -> None:
    assert parse_rates("code=2/s, test=30/m") == {"code": 2.0, "test": 0.5}
    assert parse_weights("acme=3,beta=0.5") == {"acme": 3.0, "beta": 0.5}
    for wrong in ("code", "code=0/s", "code=2", "c de=2/s"):
        with pytest.raises(InvalidInput):
            parse_rates(wrong)
    for wrong in ("acme", "acme=0", "acme=1000", "=2"):
        with pytest.raises(InvalidInput):
            parse_weights(wrong)


@pytest.mark.parametrize(("label", "weight"), [("3", 3.0), ("1e9", 100.0), ("-1", 0.01), ("nan", 1.0), ("much", 1.0)])
def test_a_missions_weight_is_what_its_label_says(label: str, weight: float) -> None:
    assert weight_of({"weight": label}) == weight


def test_submitters_are_refused_only_when_they_ask_for_it_or_nothing_more_fits() -> None:
    go = SubmitMission(id=uuid7(), mission="m", objective="x")
    rather_not = go.model_copy(update={"if_busy": "refuse"})
    limits = Limits(busy_above=10, refuse_above=20)
    limits.check(15, go)
    limits.check(10, rather_not)
    for load, command in ((11, rather_not), (21, go)):
        with pytest.raises(Busy):
            limits.check(load, command)
