"""What lies in Redis unclaimed: how much of it, and who was passed over there too often.

Redis serves lists strictly: as long as there is something in a higher one, nothing is taken from a lower one. The
sender chooses in turns, but what it sent low when nothing else waited may meet a stream of higher messages afterwards.
So the turns go on here: each attempt that is claimed with a higher priority, also one that another manager sent, costs
each priority below the share of a turn that it is worth (see :mod:`~orchestrator.task_queue.fairness`). Of a priority
that has lost a whole turn the message goes next that has waited longest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.task_queue.fairness import turns_of

type AttemptKey = tuple[str, str, str, int]
"""Tenant, mission, task, attempt."""


@dataclass(slots=True, eq=False)
class Message:
    """One message in Redis.

    Attributes:
        queue: of Celery.
        priority: with which it travels; at least that of the attempts in it.
        place, raw: the Redis list it was pushed to, and its bytes.
        passed_over: the share of a turn that its priority has lost to higher ones while none of it waited for longer.
    """

    queue: str
    priority: int
    place: str = ""
    raw: bytes = b""
    claimed: bool = False
    passed_over: float = 0.0


@dataclass
class Sent:
    """The unclaimed messages of one sender.

    Args:
        step: how many times the turns of the priority below each priority has.
    """

    step: float
    _by_attempt: dict[AttemptKey, Message] = field(default_factory=dict)
    _by_queue: dict[str, dict[Message, None]] = field(default_factory=dict)

    def __contains__(self, attempt: AttemptKey) -> bool:
        return attempt in self._by_attempt

    def count(self, queue: str) -> int:
        """How many messages of a queue nobody has claimed an attempt of."""
        return len(self._by_queue.get(queue, ()))

    def queues(self) -> list[str]:
        """Those that have messages which nobody has claimed an attempt of; asked from other threads as well."""
        return [name for name, messages in list(self._by_queue.items()) if messages]

    def add(self, message: Message, attempts: list[AttemptKey]) -> None:
        """Take note that a message is on its way."""
        self._by_attempt.update(dict.fromkeys(attempts, message))
        self._by_queue.setdefault(message.queue, {})[message] = None

    def claimed(self, attempt: AttemptKey, queue: str, priority: int) -> list[Message]:
        """Take note that an attempt was claimed, or need not be; ``priority`` is that of one sent by somebody else.

        Returns:
            the messages that it was one too many for; they are to go next.
        """
        message = self._by_attempt.pop(attempt, None)
        if message is not None:
            queue, priority = message.queue, message.priority
            if not message.claimed:
                message.claimed = True
                self._by_queue[queue].pop(message, None)
        return self.passed(queue, priority)

    def passed(self, queue: str, priority: int, count: int = 1) -> list[Message]:
        """Take note that so many attempts were claimed with a priority, before all that waits with a lower one.

        Returns:
            the messages that they were too many for, the more urgent first; they are to go next.
        """
        below: dict[int, list[Message]] = {}
        for message in self._by_queue.get(queue, ()):
            if message.priority < priority and message.passed_over < 1.0:
                below.setdefault(message.priority, []).append(message)
        hurt = []
        for level, waiting in sorted(below.items(), reverse=True):
            lost = count * turns_of(level, self.step) / turns_of(priority, self.step)
            for message in waiting:  # in the order in which they were sent
                message.passed_over += lost
                if message.passed_over < 1.0:
                    break
                lost = message.passed_over - 1.0
                hurt.append(message)
        return hurt
