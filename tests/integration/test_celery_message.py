"""The messages we make are those that Celery would send."""

from __future__ import annotations

import json
from typing import Any

from celery import Celery
from redis import Redis

from orchestrator.task_queue.celery_message import MessageFactory
from schemas.celery_wire import ATTEMPTS_TASK, celery_settings, wire_priority

UNIQUE = {"id", "root_id", "correlation_id", "delivery_tag", "reply_to"}
SHOWN = {"argsrepr"}  # monitors show it; ours is shorter on purpose


def _without_identity(message: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in message.items() if key != "body"}
    for part in ("headers", "properties"):
        plain[part] = {k: v for k, v in message[part].items() if k not in UNIQUE | SHOWN}
    return plain


def test_a_message_equals_the_one_that_celery_sends(valkey_url: str) -> None:
    app = Celery("compare", set_as_current=False)
    app.conf.update(celery_settings(valkey_url))
    redis = Redis.from_url(valkey_url)
    redis.flushdb()
    try:
        app.send_task(
            ATTEMPTS_TASK, args=(["one", "two"],), queue="stig.echo", priority=wire_priority(5), ignore_result=True
        )
        place, ours = MessageFactory(app).make(["one", "two"], "stig.echo", 5)
        [sent] = redis.lrange(place, 0, -1)  # it lies in the list that we would have chosen
    finally:
        redis.flushdb()
        redis.close()
        app.close()
    theirs, mine = json.loads(sent), json.loads(ours)
    assert _without_identity(mine) == _without_identity(theirs)
    assert mine["headers"].keys() == theirs["headers"].keys()
    assert mine["properties"].keys() == theirs["properties"].keys()


def test_every_message_has_an_identity_of_its_own() -> None:
    factory = MessageFactory(Celery("identity", set_as_current=False))
    first, second = (json.loads(factory.make(["x"], "q", 9)[1]) for _ in range(2))
    assert first["headers"]["id"] != second["headers"]["id"]
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]
    assert first["headers"]["id"] == first["headers"]["root_id"] == first["properties"]["correlation_id"]
