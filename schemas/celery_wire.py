"""What the sender and the receivers of Celery messages must agree on."""

from __future__ import annotations

from typing import Any

ATTEMPTS_TASK = "stigmergy.attempts"
"""The one Celery task: its argument is a list of orders, each :class:`~schemas.attempts.AttemptOrder` as JSON text.
With ``standby_s`` the worker stays at hand for so long afterwards."""

PRIORITY_STEPS = (0, 3, 6, 9)
"""Celery keeps one Redis list a step. In Redis 0 goes first, with us 9 does: see :func:`wire_priority`."""

STANDBY_S = 0.01
"""How long a worker that was told so stays at hand after an attempt, in seconds, for an order sent to itself."""

STANDBY_ORDERS = 100
STANDBY_LONGEST_S = 5.0
"""After so many orders, or so many seconds, Celery gets the process of such a worker back: it counts messages, looks at
its memory, and gives a message to somebody else that is not acknowledged for too long. The sender has to know, or an
order would go where nobody waits for it."""

GIVEN_WITHIN_S = 0.5
"""An attempt that was given to a worker by its dispatch is begun within so many seconds of the report that it follows,
by the worker's own clock, or never. So nobody begins what a lease has ended meanwhile: leases are longer."""

VISIBILITY_S = 3600
"""How long Celery waits before it hands a message to somebody else. Leases on the log decide long before that, so this
only says when Celery itself clears up after a lost worker."""


def wire_priority(priority: int) -> int:
    """Our priority (9 first) in the transport's terms (0 first)."""
    return 9 - max(0, min(9, priority))


def celery_settings(redis_url: str) -> dict[str, Any]:
    """Settings that both sides share. There is no result backend: results are events."""
    return {
        "broker_url": redis_url,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "enable_utc": True,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "priority_steps": list(PRIORITY_STEPS),
            # Within a priority the queues of a worker take turns: kombu's "priority" would empty one before the next.
            "queue_order_strategy": "round_robin",
            "sep": ":",
            "visibility_timeout": VISIBILITY_S,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        "task_protocol": 2,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
    }
