"""How many votes and ballots a second: ``python -m benchmarks.votes``.

Three rows. *counted*: the pure count of a ballot. *recorded*: decided and folded in memory, as an orchestrator does it
without a log. *on the log*: one orchestrator and one client on a real NATS server; every vote is a command that is
stored, granted, appended as ``ballot.cast`` with a guard, and answered. Ballots of one mission are decided one after
the other (each vote is compared with the newest fact about any ballot there), so several missions share the load.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.coordination.voting import count
from orchestrator.core.advance import advance
from orchestrator.core.decide import decide
from orchestrator.core.evolve import evolve
from orchestrator.core.facts import Fact
from orchestrator.core.mission import Mission
from schemas.ballots import Elector, Quorum, Terms, Vote
from schemas.commands import CastVote, OpenBallot, SubmitMission
from schemas.events import Payload
from schemas.ids import uuid7
from schemas.plan import Plan, TaskSpec
from stigmergy.client import Client
from stigmergy.local.ephemeral import nats_server
from stigmergy.settings import Settings
from stigmergy.wiring import make_orchestrator, open_bus

_OPTIONS = ("a", "b", "c")
_PLAN = Plan(tasks=(TaskSpec(id="work", skill="nobody"),))


def terms_for(voters: int) -> Terms:
    """A ballot that only the last vote decides."""
    electorate = tuple(Elector(name=f"v{number}") for number in range(voters))
    return Terms(question="?", options=_OPTIONS, electorate=electorate, rule="plurality", quorum=Quorum(share=1))


def counted(voters: int, seconds: float) -> float:
    """Counts of a whole ballot a second."""
    terms, done = terms_for(voters), 0
    votes = {one.name: Vote(voter=one.name, ranking=("a",)) for one in terms.electorate}
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        count(terms, votes)
        done += 1
    return done / (time.perf_counter() - begun)


def recorded(voters: int, ballots: int) -> float:
    """Votes a second, decided and folded in memory."""
    now, mission = datetime.now(UTC), Mission(tenant="t", id="m")
    terms = terms_for(voters)

    def put(payloads: Sequence[Payload], cause: str = "") -> None:
        nonlocal mission
        for payload in payloads:
            mission = evolve(mission, Fact(payload, now, cause=cause))

    put(decide(mission, SubmitMission(id="s", mission="m", objective="o", plan=_PLAN), now, plan=_PLAN))
    begun = time.perf_counter()
    for number in range(ballots):
        name = f"b{number}"
        put(decide(mission, OpenBallot(id=name, mission="m", ballot=name, terms=terms), now), name)
        for voter in terms.electorate:
            cast = CastVote(id=f"{name}{voter.name}", mission="m", ballot=name, voter=voter.name, vote={"choice": "a"})
            put(decide(mission, cast, now), cast.id)
        put(advance(mission, now))
    took = time.perf_counter() - begun
    assert all(ballot.status == "decided" for ballot in mission.ballots.values())
    return voters * ballots / took


async def on_the_log(folder: Path, voters: int, ballots: int, missions: int) -> tuple[float, float]:
    """Votes, and decided ballots, a second, over a real server."""
    terms = terms_for(voters)
    with nats_server(folder) as nats:
        settings = Settings(nats_url=nats.url, state_dir=folder / "state")
        async with open_bus(settings, name="orchestrator") as bus:
            ready = asyncio.Event()
            serving = asyncio.create_task(make_orchestrator(bus).run(ready))
            await ready.wait()
            async with Client(settings) as client:
                handles = [await client.submit("votes", plan=_PLAN) for _ in range(missions)]

                async def one(mission: str, number: int) -> None:
                    name = f"b{number}"
                    where = {"tenant": settings.tenant, "mission": mission, "ballot": name}
                    await client.command(OpenBallot(id=uuid7(), **where, terms=terms), timeout_s=60)
                    await asyncio.gather(
                        *(
                            client.command(
                                CastVote(id=uuid7(), **where, voter=voter.name, vote={"choice": "a"}), timeout_s=60
                            )
                            for voter in terms.electorate
                        )
                    )

                begun = time.perf_counter()
                await asyncio.gather(*(one(handle.id, n) for handle in handles for n in range(ballots)))
                for handle in handles:
                    while any(view.status != "decided" for view in await handle.ballots.all()):
                        await asyncio.sleep(0.01)
                took = time.perf_counter() - begun
            serving.cancel()
    return missions * ballots * voters / took, missions * ballots / took


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.votes")
    parser.add_argument("--voters", type=int, default=5)
    parser.add_argument("--ballots", type=int, default=20, help="in each mission")
    parser.add_argument("--missions", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of counting")
    options = parser.parse_args(argv)
    print(f"{options.voters} voters a ballot, {options.ballots} ballots in each of {options.missions} missions")
    print("| | votes/s | ballots/s |")
    print("| --- | --- | --- |")
    counts = counted(options.voters, options.seconds)
    print(f"| counted | {counts * options.voters:,.0f} | {counts:,.0f} |")
    votes = recorded(options.voters, options.ballots * options.missions)
    print(f"| recorded | {votes:,.0f} | {votes / options.voters:,.0f} |")
    with tempfile.TemporaryDirectory(prefix="stig-votes-") as folder:
        votes, ballots = asyncio.run(on_the_log(Path(folder), options.voters, options.ballots, options.missions))
    print(f"| on the log | {votes:,.0f} | {ballots:,.0f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
