"""The backlog over HTTP, and the ScaledObjects that read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from schemas.backlog import SkillBacklog
from schemas.errors import InvalidInput, Unavailable
from stigmergy.scaling.metric import BacklogMetric

KEDA = Path(__file__).resolve().parents[2] / "infra" / "kubernetes" / "keda-scaledobjects.yaml"


class Services:
    """Answers with this backlog, or is not there."""

    def __init__(self, backlog: list[SkillBacklog] | None) -> None:
        self._backlog = backlog

    async def ask(
        self, tenant: str, service: str, question: bytes, *, timeout_s: float = 10.0
    ) -> AsyncGenerator[bytes]:
        if self._backlog is None:
            raise Unavailable("nobody serves task-queue.backlog")
        yield msgspec.json.encode(self._backlog)

    async def serve(self, service: str, answer: Any) -> None:
        raise NotImplementedError


async def ask(backlog: list[SkillBacklog] | None, request: str) -> tuple[int, dict[str, Any]]:
    metric, ready = BacklogMetric(Services(backlog), "acme", "127.0.0.1:0"), asyncio.Event()
    task = asyncio.create_task(metric.run(ready))
    await ready.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", metric.port)
    writer.write(f"{request} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return int(head.split(b" ", 2)[1]), json.loads(body)


async def test_it_tells_what_waits_and_runs() -> None:
    there = [SkillBacklog("test", ready=1, queued=2, running=3)]
    status, said = await ask(there, "GET /backlog/test?x=1")
    assert (status, said["load"], said["queued"]) == (200, 6, 2)
    assert (await ask(there, "GET /backlog/unheard-of"))[1]["load"] == 0
    assert (await ask(there, "GET /healthz"))[0] == 200
    assert (await ask(there, "GET /"))[0] == 404
    assert (await ask(there, "POST /backlog/test"))[0] == 405


async def test_not_knowing_is_no_zero() -> None:
    status, said = await ask(None, "GET /backlog/test")
    assert status == 503
    assert "load" not in said


def test_an_address_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="no address"):
        BacklogMetric(Services([]), "acme", "8099")


async def test_the_scaled_objects_read_what_is_there() -> None:
    documents = list(yaml.safe_load_all(KEDA.read_text(encoding="utf-8")))
    assert len(documents) >= 2
    for document in documents:
        assert (document["apiVersion"], document["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
        spec = document["spec"]
        assert spec["scaleTargetRef"]["name"]
        assert 0 == spec["minReplicaCount"] < spec["maxReplicaCount"]
        [trigger] = spec["triggers"]
        assert trigger["type"] == "metrics-api"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA takes nothing else
        path = trigger["metadata"]["url"].partition("8099")[2]
        status, said = await ask([], f"GET {path}")
        assert status == 200
        assert isinstance(said[trigger["metadata"]["valueLocation"]], int)
