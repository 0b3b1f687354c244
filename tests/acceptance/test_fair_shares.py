"""A mission of thousands does not keep a mission of five waiting, and submitters hear when too much waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.errors import Busy
from schemas.plan import Plan, TaskSpec
from stigmergy import Client
from tests.acceptance.missions import history, of, until
from tests.acceptance.stack import Stack, running

pytestmark = pytest.mark.xdist_group("acceptance-pools")
_LARGE, _SMALL = 2000, 5
_WITHIN_S = 90.0


@pytest.fixture(scope="module")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("fair"), busy_above=500, refuse_above=3000) as stack:
        yield stack


def plan(count: int) -> Plan:
    return Plan(tasks=tuple(TaskSpec(id=f"t{n}", skill="echo", inputs={"sleep_s": 0.005}) for n in range(count)))


async def test_a_small_mission_passes_a_large_one(small_stack: Stack) -> None:
    async with Client(small_stack.settings) as client:
        large = await client.submit("large", plan=plan(_LARGE))
        with pytest.raises(Busy):
            await client.submit("rather not", plan=plan(1), wait_s=0.1)
        await until(large, of("task.succeeded"))
        small = await client.submit("small", plan=plan(_SMALL))
        assert small.busy > 500
        outcome = await small.outcome(timeout_s=_WITHIN_S)
        assert outcome.status == "completed"
        assert (await large.view()).status == "running"
        patient = await client.submit("patient", plan=plan(1), wait_s=_WITHIN_S)
        assert not patient.busy
        assert (await large.outcome(timeout_s=_WITHIN_S)).status == "completed"
        between = (await history(small))[0].sequence, (await history(small))[-1].sequence
        passed = [
            e for e in await history(large) if e.type == "task.succeeded" and between[0] < e.sequence < between[1]
        ]
        # What was in the queue when it came (two messages a worker, 0.05 s of work each), and turns from then on. Far
        # more than that would be the order of arrival: it would have had to wait for all 2000.
        assert len(passed) < 200
