"""Budgets on a whole system: who spends too much is held, once, whoever dies meanwhile, and goes on with more."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from schemas.envelope import Event
from schemas.errors import InvalidInput, Refused, TimedOut
from schemas.plan import Plan, RetryPolicy, TaskSpec
from stigmergy import Client
from tests.acceptance.missions import check_counted_once, data, history, of, until
from tests.acceptance.stack import MISBEHAVING, ROOT, Process, Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-budgets")
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")


def spenders(count: int = 4, *, calls: int = 20) -> Plan:
    """Tasks that spend 10 cents twenty times a second, and one that follows."""
    once = RetryPolicy(max_attempts=1)
    inputs = {"cost": 0.1, "calls": calls}
    names = [f"t{number}" for number in range(count)]
    tasks = [TaskSpec(id=name, skill="spends", inputs=inputs, retry=once) for name in names]
    return Plan(tasks=(*tasks, TaskSpec(id="last", skill="spends", inputs=inputs, retry=once, needs=tuple(names))))


def places(events: list[Event], kind: str) -> list[int]:
    return [event.sequence for event in events if event.type == kind]


def total(events: list[Event]) -> float:
    return sum(data(event)["cost_usd"] for event in events if event.type == "llm.completed")


async def test_who_has_spent_all_is_held_and_goes_on_with_more(client: Client) -> None:
    plan = spenders()
    mission = await client.submit("spend", plan=plan, budget={"cost": 1.0})
    paused = data(await until(mission, of("mission.paused")))
    assert paused["reason"].startswith("budget_exceeded: cost 1.")
    assert paused["reason"].endswith(" of 1.00")
    await until(mission, of("attempt.finished"), count=2)
    before = await mission.view()
    with pytest.raises(TimedOut, match=r"it is paused, budget_exceeded: cost "):
        await mission.outcome(timeout_s=1.0)
    held = await history(mission)
    view = await mission.view()
    assert (view.status, view.reason, view.budget) == ("paused", paused["reason"], {"cost": 1.0})
    assert view.spent["cost"] == pytest.approx(total(held)) == pytest.approx(before.spent["cost"]), "nothing runs"
    assert view.spent["cost"] < 2.5, "two workers, a tenth of a second each, and what was on its way"
    [row] = [row for row in await client.missions() if row.id == mission.id]
    assert (row.status, row.reason) == ("paused", paused["reason"])
    for budget in (None, {"cost": 1.0}, {"tokens": 10**9}):
        with pytest.raises(Refused, match="the budget is spent: cost 1"):
            await mission.resume(budget=budget)
    await mission.resume(budget={"cost": 50})
    assert (await mission.outcome(timeout_s=60)).status == "completed"
    events = await history(mission)
    check_counted_once(events, plan, most_attempts=3)
    [tripped], [resumed] = places(events, "world.tripped"), places(events, "mission.resumed")
    assert not [place for place in places(events, "action.dispatched") if tripped < place < resumed]
    ended = [data(event) for event in events if event.type == "attempt.finished"]
    assert {one["failure"]["code"] for one in ended if "failure" in one} == {"stopped"}


async def test_who_is_held_stands_in_nobodys_way(client: Client) -> None:
    held = await client.submit("spend", plan=spenders(60), budget={"cost": 0.5})
    await until(held, of("mission.paused"))
    other = await client.submit("do not", plan=spenders(3, calls=1), budget={"cost": 9.0})
    assert (await other.outcome(timeout_s=15)).status == "completed"
    begun = len(places(await history(held), "attempt.started"))
    assert begun <= 4, "two workers, and what they had in hand"
    await held.resume(budget={"cost": 0.7})
    await until(held, of("mission.paused"), count=2)
    assert len(places(await history(held), "attempt.started")) > begun, "what waited before goes on"
    await held.cancel()


async def test_people_are_warned_before(client: Client) -> None:
    mission = await client.submit("spend", plan=spenders(1, calls=4), budget={"llm_calls": 9})
    assert (await mission.outcome(timeout_s=30)).status == "completed"
    [warned] = [data(event) for event in await history(mission) if event.type == "world.warned"]
    assert (warned["limits"], warned["spent"]) == ({"llm_calls": 9}, {"llm_calls": 8})


def test_the_example_in_the_documentation_does_what_it_says(shared: Stack) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    environment = {**os.environ, **shared.settings.environment()}
    done = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    promised = [line.rpartition("# ")[2] for line in example.splitlines() if "print(" in line]
    assert [re.sub(r"0\.\d of", "0.5 of", line) for line in done.stdout.splitlines()] == promised


async def test_what_is_no_budget_is_refused_where_it_is_said(client: Client) -> None:
    with pytest.raises(InvalidInput, match="there is no budget of 'apples'"):
        await client.submit("spend", plan=spenders(), budget={"apples": 3})


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("budgets"), split=True, imports=(MISBEHAVING,)) as stack:
        yield stack


async def overspent(client: Client, manager: Process, stack: Stack) -> list[Event]:
    """Managers freeze, a mission spends all it may, and ``manager`` is killed before anybody has looked."""
    mission = await client.submit("spend", plan=spenders(2, calls=40), budget={"cost": 1.0})
    await until(mission, of("attempt.started"), count=2)
    others = [each for name, each in stack.processes() if name.startswith("task-queue") and each is not manager]
    for process in (manager, *others):
        os.kill(process.pid, signal.SIGSTOP)
    async with asyncio.timeout(20):
        while total(events := await history(mission)) < 1.0:
            await asyncio.sleep(0.05)
    assert not places(events, "world.tripped")
    manager.kill()
    for process in others:
        os.kill(process.pid, signal.SIGCONT)
    stack.mend()
    await until(mission, of("mission.paused"))
    await asyncio.sleep(1.5)
    await mission.resume(budget={"cost": 100})
    assert (await mission.outcome(timeout_s=60)).status == "completed"
    return await history(mission)


@pytest.mark.parametrize("managers", [1, 2])
async def test_a_manager_that_dies_between_spending_and_trip_leaves_it_to_the_next(own: Stack, managers: int) -> None:
    if managers == 2:
        own.serve("task-queue", name="task-queue-2").await_ready()
    async with Client(own.settings) as client:
        events = await overspent(client, own["task-queue"], own)
    [tripped], [resumed] = places(events, "world.tripped"), places(events, "mission.resumed")
    assert not [place for place in places(events, "action.dispatched") if tripped < place < resumed]
    assert [data(event)["spent"]["cost"] >= 1.0 for event in events if event.type == "world.tripped"] == [True]
