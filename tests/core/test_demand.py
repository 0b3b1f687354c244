"""What is due to each of several managers is what one manager would have given their missions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.task_queue.demand import demand_of, share_of, together
from orchestrator.task_queue.floor import Floor, OpenAttempt, Stage
from orchestrator.task_queue.rates import Bucket
from orchestrator.task_queue.situation import Situation
from schemas.backlog import SkillBacklog
from schemas.events.task import TaskReady
from schemas.replicas import QueueDemand
from schemas.signals import Heartbeat

one_manager = st.dictionaries(
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(("acme", "beta", "gamma")), st.floats(0.01, 100), min_size=1),
    min_size=1,
).map(lambda levels: tuple(QueueDemand(priority, weights) for priority, weights in levels.items()))
demands = st.lists(one_manager, min_size=1, max_size=5)


@given(demands, st.sampled_from((1.0, 2.0, 10.0)))
def test_the_shares_of_all_are_the_whole(wanted: list[tuple[QueueDemand, ...]], step: float) -> None:
    shares = [share_of(one, [*wanted[:number], *wanted[number + 1 :]], step=step) for number, one in enumerate(wanted)]
    assert sum(shares) == pytest.approx(1.0)
    assert all(share > 0 for share in shares), "nobody starves"


def test_missions_of_one_tenant_share_by_weight_over_managers() -> None:
    mine, other = (QueueDemand(5, {"acme": 1.0}),), (QueueDemand(5, {"acme": 3.0}),)
    assert share_of(mine, [other]) == pytest.approx(0.25)


def test_a_tenant_with_missions_everywhere_gets_no_more_than_one_with_a_single_one() -> None:
    crowd, single = (QueueDemand(5, {"acme": 10.0}),), (QueueDemand(5, {"acme": 10.0, "beta": 1.0}),)
    assert share_of(crowd, [single]) == pytest.approx(0.25)  # half of acme's half
    assert share_of(single, [crowd]) == pytest.approx(0.75)
    weights = {"acme": 1.0, "beta": 3.0}
    assert share_of(crowd, [single], weights.__getitem__) == pytest.approx(0.125)


def test_priorities_share_by_their_turns_and_one_alone_has_all() -> None:
    urgent, rest = (QueueDemand(9, {"acme": 1.0}),), (QueueDemand(5, {"beta": 1.0}),)
    assert share_of(rest, [urgent]) == pytest.approx(1 / 17)
    assert share_of(urgent, [rest]) == pytest.approx(16 / 17)
    assert share_of(rest, [urgent], step=1.0) == 0.5
    assert share_of(rest, []) == 1.0
    assert share_of((), [urgent]) == 0.5


def test_what_both_want_with_a_priority_is_shared_within_its_turns() -> None:
    both, rest = (QueueDemand(7, {"acme": 1.0}), QueueDemand(6, {"acme": 1.0})), (QueueDemand(6, {"acme": 3.0}),)
    assert share_of(rest, [both]) == pytest.approx(1 / 3 * 3 / 4)
    assert share_of(both, [rest]) == pytest.approx(2 / 3 + 1 / 3 * 1 / 4)


def _floor(mission: str, stage: Stage, weight: float, priority: int = 5) -> Floor:
    ready = TaskReady(task="t", attempt=1, skill="s", intent="i")
    opened = OpenAttempt(ready, stage, datetime.now(UTC), queue="stig.s", priority=priority)
    floor = Floor("acme", mission, weight=weight)
    return Floor("acme", mission, floor.attempts.set("t", opened), weight=weight)


def test_demand_is_what_was_dispatched_and_not_claimed() -> None:
    floors = [
        _floor("a", Stage.DISPATCHED, 1.0),
        _floor("b", Stage.DISPATCHED, 2.0),
        _floor("c", Stage.STARTED, 4.0),
        _floor("d", Stage.DISPATCHED, 8.0, priority=3),
    ]
    assert demand_of(floors) == {"stig.s": (QueueDemand(5, {"acme": 3.0}), QueueDemand(3, {"acme": 8.0}))}


def test_backlogs_add_up() -> None:
    one, two = SkillBacklog("s", 1, 2, 3, 4.0, 1, 5), SkillBacklog("s", 10, 20, 30, 3.0, 2, 5)
    assert together([[one], [two, SkillBacklog("x")]]) == [
        SkillBacklog("s", 11, 22, 33, 4.0, 3, 5),
        SkillBacklog("x"),
    ]


def test_buckets_of_several_managers_give_the_rate_together() -> None:
    buckets = {share: Bucket(rate=10.0, filled_at=0.0, tokens=0.0) for share in (0.2, 0.3, 0.5)}
    given_out = 0
    for tick in range(1, 101):
        for share, bucket in buckets.items():
            count = bucket.available(tick / 10, share)
            bucket.take(count)
            given_out += count
    assert given_out == pytest.approx(100, abs=3)
    assert Bucket(rate=10.0, filled_at=0.0, tokens=0.0).next_s(1e-9) == 0.5  # shares change: it looks again


def test_a_worker_that_is_busy_for_other_managers_is_not_idle() -> None:
    situation = Situation(lease_s=2.0, since=0.0)
    for second in range(5):
        situation.hear(Heartbeat(worker="w", skills=("s",), done=10 * second), float(second))
    assert situation.workers["w"].active_at == 4.0
    situation.hear(Heartbeat(worker="w", skills=("s",), done=40), 5.0)
    assert situation.workers["w"].active_at == 4.0
