"""Playing one scenario from its beginning to its end, with every law asked at every step."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from schemas.commands import CancelMission, Command, PauseMission, ResumeMission, RetryMission, SubmitMission
from schemas.ids import uuid7
from tests.simulation.fates import Struck
from tests.simulation.fleet import Fleet
from tests.simulation.ledger import Broken
from tests.simulation.scenario import Scenario, Script, Wish
from tests.simulation.sealed import sealed
from tests.simulation.virtual_time import VirtualLoop

BOUND_S = 600.0
"""Virtual seconds within which every mission ends once nothing goes wrong any more: many times what they take."""
_QUIET_S = 3.0


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        law: the law that was broken, or the type of what was raised; empty if all is well.
        detail: how; ``mission`` is the one at fault, or ``""``.
        digest: SHA-256 of all bytes on the log.
        lines: every event in a line, with its mission.
    """

    seed: int
    law: str = ""
    detail: str = ""
    mission: str = ""
    digest: str = ""
    features: frozenset[str] = frozenset()
    events: int = 0
    virtual_s: float = 0.0
    struck: list[Struck] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[str, str]] = field(default_factory=list)


def play(scenario: Scenario) -> Outcome:
    """Play a scenario. Never raises for what it finds; see :class:`Outcome`."""
    outcome = Outcome(scenario.seed, features=scenario.features)
    loop = VirtualLoop()
    with (
        asyncio.Runner(loop_factory=lambda: loop) as runner,
        sealed(scenario.seed, loop.time),
    ):
        begin = loop.time()
        runner.run(_play(scenario, outcome))
        outcome.virtual_s = loop.time() - begin
    return outcome


async def _play(scenario: Scenario, outcome: Outcome) -> None:
    fleet = Fleet(scenario)
    fleet.start()
    main = asyncio.create_task(_course(fleet))
    try:
        while not main.done():
            await asyncio.wait([main], timeout=0.5)
            _look(fleet)
        main.result()
    except Broken as broken:
        outcome.law, outcome.detail, outcome.mission = broken.law, str(broken), "/".join(broken.key)
    except Exception as error:  # noqa: BLE001 - a flaw in what is simulated is a finding like any other
        outcome.law, outcome.detail = type(error).__name__, _root(error)
    finally:
        main.cancel()
        await fleet.close()
    checker = fleet.checker
    outcome.digest, outcome.events, outcome.struck = checker.digest, checker.events, fleet.fates.struck
    outcome.ends.update(seen.book.ended for seen in checker.followed.values() if seen.book.submission)
    outcome.lines = [("/".join(key), line) for key, line in checker.lines]


def _root(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _look(fleet: Fleet) -> None:
    if fleet.checker.broken is not None:
        raise fleet.checker.broken
    if fleet.failed is not None:
        raise fleet.failed


async def _course(fleet: Fleet) -> None:
    """Wishes and misfortunes, then calm, in which everything comes to its end; then a fresh set of deciders."""
    scenario = fleet.scenario
    wishers = [asyncio.create_task(_mission(fleet, script)) for script in scenario.scripts]
    await asyncio.sleep(scenario.rough_s)
    fleet.calm_down()
    await asyncio.gather(*wishers)
    for part in fleet.parts:
        await part.calm()
    async with asyncio.timeout(BOUND_S):  # a pause that came again after the resumption would be one nobody ends
        await fleet.commands.all_done()
    for script in scenario.scripts:
        await fleet.ask(ResumeMission(id=uuid7(), tenant=script.tenant, mission=script.mission))
    await _rest(fleet)
    fleet.replace_deciders()
    await _rest(fleet)


async def _rest(fleet: Fleet) -> None:
    """Wait until nothing is left to do, and ask what must hold then."""
    await _settled(fleet)
    await asyncio.sleep(_QUIET_S)
    # A command that was answered may have been delivered twice; the second time a retry may find something to retry.
    while fleet.checker.unsettled():
        await _settled(fleet)
        await asyncio.sleep(_QUIET_S)
    await fleet.checker.at_the_end(fleet.log, untroubled=not fleet.fates.struck)
    for part in fleet.judges:
        part.at_rest()


async def _settled(fleet: Fleet) -> None:
    waited = 0.0
    while left := fleet.checker.unsettled():
        if waited > BOUND_S:
            name = left[0].partition(" ")[0]
            tenant, _, mission = name.partition("/")
            raise Broken("every mission comes to its end", (tenant, mission), "; ".join(left))
        await asyncio.sleep(0.5)
        waited += 0.5


async def _mission(fleet: Fleet, script: Script) -> None:
    """Submit one mission, and carry out the wishes about it in their time."""
    await asyncio.sleep(script.submit_at)
    submission = _submission(script)
    wishes = [asyncio.create_task(_wish(fleet, script, wish)) for wish in script.wishes]
    reply = await fleet.ask(submission)
    if reply is None:
        raise Broken("every command is answered", script.key, "submit")
    await asyncio.gather(*wishes)
    book = fleet.checker.followed[script.key].book
    if reply.accepted != (book.submission == submission.id):
        raise Broken("the answer says what was done", script.key, f"accepted={reply.accepted} {reply.reason}")


def _submission(script: Script) -> SubmitMission:
    return SubmitMission(
        id=uuid7(), tenant=script.tenant, mission=script.mission, objective="o", plan=script.plan, inputs=script.inputs
    )


_VERBS = ("submit", "pause", "resume", "cancel", "retry")


async def _wish(fleet: Fleet, script: Script, wish: Wish) -> None:
    await asyncio.sleep(wish.at)
    if wish.verb not in _VERBS:
        await fleet.wish(script, wish)
        return
    about = {"id": uuid7(), "tenant": script.tenant, "mission": script.mission}
    commands: dict[str, Command] = {
        "submit": _submission(script),
        "pause": PauseMission(**about),
        "resume": ResumeMission(**about),
        "cancel": CancelMission(**about, reason="enough"),
        "retry": RetryMission(**about),
    }
    reply = await fleet.ask(commands[wish.verb])
    if reply is None:
        raise Broken("every command is answered", script.key, wish.verb)
    if wish.verb == "cancel" and reply.accepted and fleet.checker.followed[script.key].book.ended != "cancelled":
        raise Broken("the answer says what was done", script.key, "a cancelled mission is not")
