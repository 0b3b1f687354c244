"""What tasks require of workers: what is fulfilled, where an attempt goes, and what is said if nobody fits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.task_queue.allocation import Allocation, allocate
from orchestrator.task_queue.situation import Situation
from schemas.attempts import Failure
from schemas.events.task import TaskReady
from schemas.plan import TaskSpec
from schemas.requirements import Value, profile, queue_of, spelled, unmet
from schemas.signals import Heartbeat

LABELS = {"gpu": "true", "memory_gb": "24", "zone": "eu"}


@pytest.mark.parametrize(
    ("requires", "missing"),
    [
        ({}, None),
        ({"gpu": True}, None),
        ({"gpu": "true"}, None),
        ({"gpu": False}, "gpu=false"),
        ({"memory_gb": 24}, None),
        ({"memory_gb": ">=16"}, None),
        ({"memory_gb": ">24"}, "memory_gb>24"),
        ({"memory_gb": "<= 24"}, None),
        ({"zone": ">=1"}, "zone>=1"),
        ({"zone": "eu", "host": "h1"}, None),
        ({"host": "h2"}, "host=h2"),
        ({"tpu": True}, "tpu=true"),
        ({"version": ">=2"}, None),
        ({"version": "2.1"}, None),
        ({"version": 3}, "version=3"),
        ({"version": "<2"}, "version<2"),
    ],
)
def test_what_is_fulfilled(requires: dict[str, Value], missing: str | None) -> None:
    assert unmet(requires, LABELS, "h1", "2.1") == missing


@pytest.mark.parametrize("wrong", [{"version": "newest"}, {"memory_gb": ">=much"}, {"two words": "x"}])
def test_a_plan_with_nonsense_is_refused(wrong: dict[str, Value]) -> None:
    with pytest.raises(ValidationError):
        TaskSpec(id="a", skill="s", requires=wrong)


def test_profiles_tell_what_differs_and_nothing_else() -> None:
    one = profile("h1", {"a": "1", "b": "2"}, {})
    assert one == profile("h1", {"b": "2", "a": "1"}, {})
    assert one == profile("h1", {"a": "1", "b": "2"}, {}, kind="prefork")
    assert one != profile("h1", {"a": "1", "b": "2"}, {}, kind="threads")
    assert (
        len(
            {one, profile("h2", {"a": "1", "b": "2"}, {}), profile("h1", {"a": "1"}, {}), profile("h1", {}, {"s": "2"})}
        )
        == 4
    )
    assert queue_of("test", one) == f"stig.test@{one}"
    assert spelled({"b": True, "a": ">=2", "c": "x"}) == "a>=2, b=true, c=x"


def beat(name: str, host: str = "h1", labels: dict[str, str] | None = None, version: str = "1") -> Heartbeat:
    versions = {"test": version} if version != "1" else {}
    return Heartbeat(
        worker=name,
        host=host,
        skills=("test",),
        labels=labels or {},
        versions=versions,
        profile=profile(host, labels or {}, versions),
    )


def situation(*beats: Heartbeat) -> Situation:
    made = Situation(lease_s=5.0, since=0.0, grace_s=10.0)
    for one in beats:
        made.hear(one, 1.0)
    return made


def ready(**requires: Value) -> TaskReady:
    return TaskReady(task="t", attempt=1, skill="test", requires=requires)


def test_without_requirements_anybody_takes_it() -> None:
    chosen = allocate(ready(), situation(beat("a"), beat("b", labels={"gpu": "1"})), 0.0)
    assert isinstance(chosen, Allocation)
    assert chosen.queue == "stig.test"


def test_only_workers_that_fulfil_it_read_the_queue() -> None:
    plain, special = beat("a"), beat("b", labels={"gpu": "true"})
    chosen = allocate(ready(gpu=True), situation(plain, special), 0.0)
    assert isinstance(chosen, Allocation)
    assert special.takes(chosen.queue)
    assert not plain.takes(chosen.queue)
    assert "1 of 2 workers that offer test fulfil gpu=true" in chosen.because


def test_a_minimum_version() -> None:
    old, new = beat("a"), beat("b", version="2.3")
    chosen = allocate(ready(version=">=2"), situation(old, new), 0.0)
    assert isinstance(chosen, Allocation)
    assert [new.takes(chosen.queue), old.takes(chosen.queue)] == [True, False]


def test_work_is_spread_over_what_fits_by_the_number_of_workers() -> None:
    there = situation(
        *(beat(f"big{number}", "h1", {"gpu": "true"}) for number in range(3)), beat("small", "h2", {"gpu": "true"})
    )
    queues = []
    for _ in range(40):
        chosen = allocate(ready(gpu=True), there, 0.0)
        assert isinstance(chosen, Allocation)
        queues.append(chosen.queue)
    big = queue_of("test", profile("h1", {"gpu": "true"}, {}))
    assert 28 <= queues.count(big) <= 32


def test_among_equals_the_better_one_is_chosen() -> None:
    there = situation(beat("a", "h1", {"gpu": "true"}), beat("b", "h2", {"gpu": "true"}))
    for host, succeeded in (("h1", False), ("h2", True)):
        tally = there.experience.tally("test", profile(host, {"gpu": "true"}, {}))
        for number in range(20):
            tally.ended(well=succeeded or number < 5, seconds=1.0)
    chosen = allocate(ready(gpu=True), there, 0.0)
    assert isinstance(chosen, Allocation)
    assert chosen.queue == queue_of("test", profile("h2", {"gpu": "true"}, {}))


def test_nobody_fulfils_it() -> None:
    there = situation(beat("a"))
    assert allocate(ready(gpu=True), there, waited_s=1.0) is None
    failure = allocate(ready(gpu=True), there, waited_s=11.0)
    assert isinstance(failure, Failure)
    assert failure.code == "unfulfilled"
    assert "gpu=true" in failure.message
