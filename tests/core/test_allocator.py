"""Who gets an attempt: what speaks for whom, term by term, and what is learned of whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.core.facts import Fact
from orchestrator.task_queue import floor as floors
from orchestrator.task_queue.allocation import Allocation, allocate, is_bound
from orchestrator.task_queue.floor import Floor
from orchestrator.task_queue.learning import learn
from orchestrator.task_queue.scoring import Group, weigh
from orchestrator.task_queue.situation import Situation
from projections.registry.tally import HALF_LIFE_S, Spent, Tally
from schemas.attempts import Action, AttemptOrder, Failure
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.llm import LlmCompleted
from schemas.events.task import TaskReady
from schemas.events.world import WorldViolated
from schemas.expectations import MaxMemory, Observation, Violation
from schemas.plan import Prefer
from schemas.requirements import profile, queue_of
from schemas.signals import Heartbeat, Running

TREE = {"tree": "a" * 40, "packs": []}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def beat(
    name: str, host: str, *, busy: int = 0, deprecated: str | None = None, named: bool = True, kind: str = "prefork"
) -> Heartbeat:
    old = {"paint": deprecated} if deprecated is not None else {}
    return Heartbeat(
        worker=name,
        host=host,
        skills=("paint",),
        running=tuple(Running("t", "m", f"{name}-{number}", 1) for number in range(busy)),
        kind=kind,
        profile=profile(host, {}, {}, old, kind=kind) if named else "",
        deprecated=old,
    )


def heard(*beats: Heartbeat) -> Situation:
    situation = Situation(lease_s=3.0, since=0.0)
    for one in beats:
        situation.hear(one, 1.0)
    return situation


def ready(prefer: Prefer | None = None, workspace: dict[str, object] | None = None) -> TaskReady:
    return TaskReady(task="a", attempt=1, skill="paint", prefer=prefer, workspace=workspace)


def chosen(situation: Situation, wanted: TaskReady, now: float = 0.0) -> Allocation:
    allocation = allocate(wanted, situation, 0.0, now)
    assert isinstance(allocation, Allocation)
    return allocation


def tally(*, well: int = 0, badly: int = 0, seconds: float = 1.0, usd: float = 0.0, tokens: int = 0) -> Tally:
    made = Tally()
    for number in range(well + badly):
        made.ended(well=number < well, seconds=seconds, spent=Spent(tokens, usd))
    return made


def group(name: str, of: Tally, *, assigned: int = 0, warm: bool = False) -> Group:
    return Group(name, f"host-{name}", 1, assigned, of, warm)


# the scoring function


def test_every_term_is_named_and_they_add_up() -> None:
    slow, quick = tally(well=8, badly=2, seconds=4.0, usd=0.1), tally(well=8, seconds=1.0, usd=0.4)
    prefer = Prefer(quality=2, cost=1, speed=0.5)
    a, b = sorted(weigh([group("a", slow, assigned=2, warm=True), group("b", quick)], prefer), key=lambda c: c.profile)
    assert a.terms == {"load": -2.0, "warm": 0.5, "quality": 1.5, "cost": 1.0, "speed": 0.125}
    assert b.terms == {"quality": 1.8, "cost": 0.25, "speed": 0.5}
    assert (a.points, b.points) == (1.125, 2.55)


@pytest.mark.parametrize(
    ("prefer", "best"),
    [
        (Prefer(quality=1, cost=0, speed=0), "good"),
        (Prefer(quality=0, cost=1, speed=0), "cheap"),
        (Prefer(quality=0, cost=0, speed=1), "quick"),
    ],
)
def test_the_plan_says_what_matters(prefer: Prefer, best: str) -> None:
    groups = [
        group("good", tally(well=20, seconds=5.0, tokens=900)),
        group("cheap", tally(well=10, badly=10, seconds=5.0, tokens=10)),
        group("quick", tally(well=10, badly=10, seconds=0.5, tokens=900)),
    ]
    assert weigh(groups, prefer)[0].profile == best


def test_cost_is_seconds_where_nobody_counts_tokens_or_money() -> None:
    groups = [group("a", tally(well=5, seconds=4.0)), group("b", tally(well=5, seconds=1.0))]
    assert [c.terms["cost"] for c in weigh(groups, Prefer(quality=0, cost=1))] == [1.0, 0.25]


def test_who_was_never_tried_counts_as_cheap_and_quick_and_as_half_good() -> None:
    known, new = group("known", tally(well=3, seconds=1.0)), group("new", Tally())
    terms = {c.profile: c.terms for c in weigh([known, new], Prefer(quality=1, cost=1, speed=1))}
    assert terms["new"] == {"quality": 0.5, "cost": 1.0, "speed": 1.0}


def test_equals_are_chosen_by_name_so_that_all_managers_agree() -> None:
    groups = [group("b", Tally()), group("a", Tally())]
    assert [c.profile for c in weigh(groups, Prefer())] == ["a", "b"]


# what is remembered, and fades


def test_old_failures_fade_and_percentiles_are_of_the_newest() -> None:
    of = Tally()
    for _ in range(10):
        of.ended(well=False, seconds=9.0, at=1000.0)
    assert of.expected_rate(1000.0) == pytest.approx(1 / 12)
    assert of.expected_rate(1000.0 + HALF_LIFE_S) == pytest.approx(1 / 7)
    assert of.expected_rate(1000.0 + 20 * HALF_LIFE_S) == pytest.approx(0.5, abs=1e-3)
    for _ in range(64):
        of.ended(well=True, seconds=1.0, at=1000.0 + 20 * HALF_LIFE_S)
    assert (of.took(0.5), of.took(0.95)) == (1.0, 1.0)
    assert of.mean_s == pytest.approx(1.0, abs=1e-3)
    assert (of.attempts, of.success_rate) == (74, 64 / 74)
    assert of.expected_rate(1000.0 + 20 * HALF_LIFE_S) == pytest.approx(65 / 66, abs=1e-3)


def test_percentiles_are_by_nearest_rank() -> None:
    of = Tally()
    assert of.took(0.5) is None
    for number in range(1, 21):
        of.ended(well=True, seconds=float(number))
    assert (of.took(0.5), of.took(0.95), of.took(1.0)) == (10.0, 19.0, 20.0)


def test_tallies_add_up() -> None:
    total = tally(well=2, seconds=1.0, tokens=10)
    total.add(tally(well=1, badly=1, seconds=3.0, tokens=30))
    assert (total.attempts, total.mean_s, total.mean_tokens) == (4, 2.0, 20.0)
    assert total.expected_rate() == pytest.approx(4 / 6)


# when an attempt is bound to a profile at all


def test_without_a_reason_whoever_is_idle_first_takes_it() -> None:
    there = heard(beat("v", "h1"), beat("w", "h2"))
    assert chosen(there, ready()).queue == "stig.paint"
    assert chosen(there, ready(workspace=TREE)).queue == "stig.paint"


def test_a_preference_binds_it_to_the_best_and_says_why() -> None:
    there = heard(beat("v", "h1"), beat("w", "h2"))
    good = profile("h2", {}, {})
    there.experience.tally("paint", good).ended(well=True, seconds=1.0)
    allocation = chosen(there, ready(Prefer()))
    assert allocation.queue == queue_of("paint", good)
    assert [c.terms for c in allocation.candidates] == [{"quality": 0.67}, {"quality": 0.5}]
    assert f"{good} on h2 has 0.67 points: quality +0.67" in allocation.because


def test_a_preference_does_nothing_where_there_is_one_profile_or_one_without_a_name() -> None:
    assert chosen(heard(beat("v", "h1"), beat("w", "h1")), ready(Prefer())).queue == "stig.paint"
    assert chosen(heard(beat("v", "h1"), beat("w", "h2", named=False)), ready(Prefer())).queue == "stig.paint"


def test_a_warm_host_is_preferred_while_it_is_idle() -> None:
    warm, cold = profile("h1", {}, {}), profile("h2", {}, {})
    there = heard(beat("v", "h1"), beat("w", "h2"))
    there.experience.has_tree("h1", TREE)
    first = chosen(there, ready(workspace=TREE))
    assert first.queue == queue_of("paint", warm)
    assert first.candidates[0].terms == {"warm": 0.5, "quality": 0.5}
    assert chosen(there, ready(workspace=TREE)).queue == "stig.paint"  # one is on its way there: it is not idle
    assert chosen(there, ready(workspace={"tree": "b" * 40})).queue == "stig.paint"
    there.experience.has_tree("h2", TREE)
    there.plan_anew()
    assert chosen(there, ready(workspace=TREE)).queue == "stig.paint"  # all have it
    busy = heard(beat("v", "h1", busy=1), beat("w", "h2"))
    busy.experience.has_tree("h1", TREE)
    assert queue_of("paint", cold) != chosen(busy, ready(workspace=TREE)).queue == "stig.paint"


def test_what_limits_memory_goes_to_processes_if_there_are_any() -> None:
    limited = ready().model_copy(update={"expects": (MaxMemory(megabytes=100),)})
    thread, process = beat("v", "h1", kind="threads"), beat("w", "h1", busy=1)
    mixed = chosen(heard(thread, process), limited)
    assert mixed.queue == queue_of("paint", process.profile)
    assert not thread.takes(mixed.queue)
    assert "1 of 2 workers that offer paint can hold its max_memory, which threads cannot" in mixed.because
    assert not mixed.warning
    assert chosen(heard(thread, process), ready()).queue == "stig.paint"
    assert chosen(heard(process, beat("x", "h2")), limited).queue == "stig.paint"  # all of them can
    assert (is_bound(limited), is_bound(ready())) == (True, False)


def test_where_there_are_only_threads_it_is_said_that_memory_is_not_held() -> None:
    limited = ready().model_copy(update={"expects": (MaxMemory(megabytes=100),)})
    threads = [beat("v", "h1", kind="threads"), beat("w", "h2", kind="threads")]
    alone = chosen(heard(*threads), limited)
    assert alone.queue == "stig.paint"
    assert "max_memory holds for programs in a sandbox only" in alone.warning
    old = chosen(heard(beat("v", "h1", kind="threads", deprecated="use paint-2")), limited)
    assert old.warning.startswith("paint is deprecated by everybody")
    assert "max_memory holds" in old.warning


def test_what_is_deprecated_is_asked_only_where_nobody_else_offers_it() -> None:
    old, new = beat("v", "h1", deprecated="use paint-2"), beat("w", "h1")
    both = heard(old, new)
    allocation = chosen(both, ready())
    assert (allocation.queue, allocation.warning) == ("stig.paint", "")
    assert [old.takes(allocation.queue), new.takes(allocation.queue)] == [False, True]
    alone = chosen(heard(old), ready())
    assert alone.queue == queue_of("paint", old.profile)
    assert old.takes(alone.queue)
    assert alone.warning == "paint is deprecated by everybody who offers it: use paint-2"


# what is learned from facts


class Play:
    def __init__(self, situation: Situation) -> None:
        self.situation, self.floor, self.count = situation, Floor(tenant="t", mission="m"), 0

    def tell(self, *payloads: Payload) -> None:
        for payload in payloads:
            self.count += 1
            fact = Fact(payload, BEGIN + timedelta(seconds=self.count), self.count)
            learn(self.situation, self.floor, fact)
            self.floor = floors.evolve(self.floor, fact)

    def dispatched(self, task: str, worker: str, queue: str = "stig.paint") -> None:
        order = AttemptOrder(tenant="t", mission="m", task=task, attempt=1, skill="paint", action=Action(tool="paint"))
        self.tell(
            TaskReady(task=task, attempt=1, skill="paint", workspace=TREE),
            ActionDispatched(task=task, attempt=1, order=order, queue=queue),
            AttemptStarted(task=task, attempt=1, worker=worker, agent="p"),
        )


def finished(task: str, worker: str, outcome: str = "succeeded") -> AttemptFinished:
    product, observation = {"tree": "c" * 40, "packs": []}, Observation(duration_s=2.0)
    said = {"task": task, "attempt": 1, "worker": worker, "outcome": outcome}
    return AttemptFinished.model_validate({**said, "product": product, "observation": observation})


def test_facts_make_experience() -> None:
    there = heard(beat("v", "h1"), beat("w", "h2"))
    play = Play(there)
    play.dispatched("a", "v")
    for cost in (0.25, 0.5):
        play.tell(LlmCompleted(task="a", attempt=1, model="x", tokens_in=10, tokens_out=5, cost_usd=cost))
    play.tell(finished("a", "v"))
    of = there.experience.tally("paint", profile("h1", {}, {}))
    assert (of.succeeded, of.mean_s, of.mean_tokens, of.mean_usd) == (1, 2.0, 30.0, 0.75)
    assert there.experience.warm(TREE) == {"h1"}
    assert there.experience.warm({"tree": "c" * 40}) == {"h1"}
    play.tell(WorldViolated(task="a", attempt=1, violations=(Violation(kind="x", message="no"),)))
    assert (of.violated, of.expected_rate()) == (1, pytest.approx(1 / 3, abs=1e-4))
    play.dispatched("b", "w")
    play.tell(ActionExpired(task="b", attempt=1, worker="w", failure=Failure(code="worker_lost", message="gone")))
    assert there.experience.tally("paint", profile("h2", {}, {})).lost == 1
    play.dispatched("c", "v")
    play.tell(finished("c", "v", "cancelled"))
    assert of.attempts == 1  # who was told to stop has shown nothing


def test_experience_is_bounded() -> None:
    there = heard()
    for number in range(5000):
        there.experience.has_tree("h", {"tree": str(number)})
        there.experience.tally("paint", str(number)).ended(well=True, seconds=1.0)
    assert there.experience.warm({"tree": "0"}) == frozenset()
    assert there.experience.warm({"tree": "4999"}) == {"h"}
    assert there.experience.tally("paint", "0").attempts == 0
    for number in range(100):
        there.experience.has_tree(str(number), {"tree": "x"})
    assert len(there.experience.warm({"tree": "x"})) == 64
