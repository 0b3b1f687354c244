"""What a busy team writes, as messages for the log and as rows that ClickHouse makes by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from events.codec import encode, subject_of
from events.jetstream.publisher import Message
from schemas.envelope import Event, rfc3339
from schemas.ids import derive, instant_of, uuid7

_TYPES = (
    "agent.thought", "agent.acted", "tool.called", "attempt.started",
    "attempt.finished", "task.ready", "llm.completed", "action.dispatched",
)  # fmt: skip
FRAME = 1000


def messages(many: int) -> list[Message]:
    """Frames of :data:`FRAME` events of about 440 bytes, eight types, 500 missions, 20 workers."""
    root = uuid7()
    return [_frame(root, number) for number in range(many // FRAME)]


def _frame(root: str, number: int) -> Message:
    kind, mission = _TYPES[number % 8], f"mission-{number // 8 % 500}"
    cause = derive(root, str(number))
    begin = instant_of(root)
    events = tuple(
        _event(
            kind,
            mission,
            cause,
            rfc3339(begin + timedelta(milliseconds=(number * FRAME + each) % 3_600_000)),
            number * FRAME + each,
        )
        for each in range(FRAME)
    )
    raw, content_type = encode(events)
    return Message(subject_of(events), raw, cause, content_type)


def _event(kind: str, mission: str, cause: str, time: str, number: int) -> Event:
    task = f"task-{number // 8 % 100}"
    return Event(
        id=derive(cause, str(number)),
        source=f"/worker/host-{number % 20}",
        type=kind,
        time=time,
        tenant="bench",
        mission=mission,
        subject=task,
        causationid=cause,
        correlationid=cause,
        data=msgspec.Raw(msgspec.json.encode({"task": task, "attempt": 1, **_payload(kind, number)})),
    )


def _payload(kind: str, number: int) -> dict[str, Any]:
    seconds, worker = (number % 1000) / 100, f"host-{number % 20}"
    match kind:
        case "tool.called":
            return {"tool": "pytest", "outcome": "succeeded", "duration_s": seconds, "result": {"passed": 10}}
        case "attempt.started":
            return {"worker": worker, "agent": "coder"}
        case "attempt.finished":
            about = {"worker": worker, "agent": "coder", "skill": "edit", "outcome": "succeeded"}
            return {**about, "observation": {"duration_s": seconds}}
        case "llm.completed":
            used = {"tokens_in": number % 9000, "tokens_out": number % 900, "cost_usd": 0.002}
            return {"model": "large", "agent": "coder", "duration_s": seconds, **used}
        case "task.ready":
            return {"skill": "edit", "intent": "make the tests pass"}
        case _:
            return {"text": "x" * 60}


def rows_sql(first: int, many: int, span_s: float) -> str:
    """A SELECT of ``many`` rows with the columns of ``events``, from row ``first``; evenly over the last ``span_s``."""
    kinds = str(list(_TYPES))
    return f"""SELECT * EXCEPT (ends, asked) FROM (
SELECT
    number + 1 AS sequence, toUInt16(0) AS idx,
    concat('01a20000-0000-7', substring(hex(cityHash64(number)), 1, 3), '-8000-', leftPad(hex(number), 12, '0')) AS id,
    now64(6, 'UTC')
        - toIntervalMicrosecond(toInt64({span_s * 1e6:.0f} * (1 - (number - {first}) / {max(many, 1)}))) AS time,
    'bench' AS tenant, concat('mission-', toString(intDiv(number, 8000))) AS mission,
    splitByChar('.', type)[1] AS noun, {kinds}[intDiv(number, 1000) % 8 + 1] AS type,
    concat('/worker/host-', toString(number % 20)) AS source,
    concat('task-', toString(intDiv(number, 8) % 100)) AS subject, subject AS task, toUInt16(1) AS attempt,
    if(type IN ('attempt.started', 'attempt.finished', 'llm.completed'), 'coder', '') AS agent,
    if(type IN ('attempt.started', 'attempt.finished'), concat('host-', toString(number % 20)), '') AS worker,
    if(type IN ('attempt.finished', 'task.ready'), 'edit', '') AS skill,
    if(type = 'tool.called', 'pytest', '') AS tool,
    type IN ('tool.called', 'attempt.finished', 'llm.completed') AS ends,
    multiIf(NOT ends, '', number % 50 = 0, 'failed', 'succeeded') AS outcome,
    '' AS code,
    if(ends, number % 1000 / 100., 0.) AS duration_s,
    type = 'llm.completed' AS asked,
    if(asked, 'large', '') AS model,
    if(asked, number % 9000, 0) AS tokens_in, if(asked, number % 900, 0) AS tokens_out,
    if(asked, toDecimal64(0.002, 9), toDecimal64(0, 9)) AS cost,
    concat('01a20000-0000-7000-8000-', leftPad(lower(hex(intDiv(number, 1000))), 12, '0')) AS causationid,
    causationid AS correlationid, toUInt16(1) AS dataversion,
    concat('{{"task":"', task, '","attempt":1,"text":"', repeat('x', 48), toString(number), '"}}') AS data,
    '' AS defects
FROM numbers({first}, {many}))"""
