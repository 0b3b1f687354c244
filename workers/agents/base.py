"""What an agent is: a class with skills and a ``run``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from workers.context import Context

_TOPIC = "__answers__"


def answers[F: Callable[..., Any]](topic: str) -> Callable[[F], F]:
    """Have a method of an agent answer what agents of other workers ask about ``topic``.

    ::

        class Reviewer(Agent):
            skills = ("review",)

            @answers("opinion")
            def opinion(self, asked: Asked) -> dict[str, Any]:
                return {"good": len(asked.question["patch"]) < 1000}

    It is called in a thread beside the attempts of its worker, with an instance of the agent of that thread's own. What
    it returns, a dict of JSON values or None, is the answer. What it raises is told to whoever asked.
    """

    def mark(method: F) -> F:
        setattr(method, _TOPIC, topic)
        return method

    return mark


class Agent(ABC):
    """A role that does the tasks of its skills.

    Class attributes:
        skills: what it can do; one Celery queue each. Tasks name the skill, never the agent.
        nature: what an attempt mostly does: ``cpu`` computes, ``io`` waits for others (models, networks, files). Pools
            for nothing but ``io`` are made of threads, all others of processes; see ``stig workers start --pool``.
        tags: keywords for whoever looks for a skill.
        version: of the agent's own, for tasks that require a minimum.
        deprecated: skills that it offers for old plans only, and what to use instead: ``{"paint": "use paint-2"}``.
            It is asked where nobody else offers them, and a warning is recorded.
        answers_at_once: how many requests of other agents its worker answers at once, beside its attempts; the largest
            number among the agents of a worker holds. See :func:`answers`.

    One instance serves one worker process, one attempt at a time.
    """

    skills: ClassVar[tuple[str, ...]] = ()
    nature: ClassVar[Literal["cpu", "io"]] = "cpu"
    tags: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[str] = "1"
    deprecated: ClassVar[Mapping[str, str]] = {}
    answers_at_once: ClassVar[int] = 2

    @abstractmethod
    def run(self, context: Context) -> dict[str, Any] | None:
        """Do one attempt at a task, and return its output: JSON values, or None for no output.

        What the agent changes in ``context.workspace`` becomes the task's product. What it says is recorded, but the
        system looks for itself whether the expectations hold.

        Raises:
            Retryable: it did not work this time; another attempt may.
            Permanent: it cannot work; no further attempt is made.
            Cancelled: raised by ``context.check()`` when the attempt was stopped; let it pass.
        """

    @property
    def name(self) -> str:
        """How it appears in events: the class's name in lower case."""
        return self.named()

    @classmethod
    def named(cls) -> str:
        """The name of all agents of this class."""
        return cls.__name__.lower()

    @classmethod
    def topics(cls) -> dict[str, str]:
        """What it answers: topic to the name of the method."""
        found = ((name, getattr(getattr(cls, name), _TOPIC, None)) for name in dir(cls) if not name.startswith("__"))
        return {topic: name for name, topic in found if topic is not None}
