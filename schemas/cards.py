"""What an agent says of itself, and how it looks in the agent-card format of the A2A protocol.

https://a2a-protocol.org/latest/specification/, "AgentCard": name, description, version, interfaces, capabilities,
input and output modes, and skills with id, name, description and tags. What A2A has no field for (host, limits,
labels) is an extension in ``capabilities.extensions``, as the specification provides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from schemas.shape import Shape

if TYPE_CHECKING:
    from schemas.events.worker import WorkerJoined

EXTENSION = "urn:stigmergy:worker"
_PROTOCOL = "1.0"
_JSON = "application/json"


class SkillCard(Shape):
    """One skill of one agent."""

    id: str
    agent: str
    description: str = ""
    tags: tuple[str, ...] = ()
    version: str = "1"
    nature: str = "cpu"
    deprecated: str = Field(default="", description='what to use instead: "use paint-2"; empty if it is not')
    learned: bool = Field(default=False, description="reported at run time; no skill of the agent's class")


class TopicCard(Shape):
    """Something that one agent answers when agents of other workers ask."""

    topic: str
    agent: str
    description: str = ""


def a2a_card(joined: WorkerJoined, tenant: str) -> dict[str, Any]:
    """The agent card of a worker. Its interface is our queue: tasks reach it by its skills, never by an address."""
    agents = ", ".join(sorted(joined.agents))
    return {
        "name": joined.worker,
        "description": f"A worker of the pool {joined.pool or joined.worker} with the agents {agents}",
        "version": joined.version or "0",
        "supportedInterfaces": [
            {"url": f"stigmergy://{tenant}", "protocolBinding": EXTENSION, "protocolVersion": _PROTOCOL}
        ],
        "capabilities": {
            "streaming": False,
            "pushNotifications": False,
            "extensions": [{"uri": EXTENSION, "required": False, "params": _about(joined)}],
        },
        "defaultInputModes": [_JSON],
        "defaultOutputModes": [_JSON],
        "skills": [*(_skill(card) for card in joined.cards), *(_topic(card) for card in joined.answers)],
    }


def _skill(card: SkillCard) -> dict[str, Any]:
    # Tags are required there and may not be empty of meaning: the agent's name and nature always hold.
    tags = [*card.tags, f"agent:{card.agent}", f"version:{card.version}", f"nature:{card.nature}"]
    tags += [f"deprecated:{card.deprecated}"] * bool(card.deprecated) + ["learned"] * card.learned
    description = card.description or f"The skill {card.id} of the agent {card.agent}"
    return {"id": card.id, "name": card.id, "description": description, "tags": tags}


def _topic(card: TopicCard) -> dict[str, Any]:
    """What peers may ask is a skill, too, as A2A sees it; the tag tells it from what tasks may want."""
    description = card.description or f"Answers of the agent {card.agent} about {card.topic}"
    tags = ["peer-request", f"agent:{card.agent}"]
    return {"id": f"answers.{card.topic}", "name": card.topic, "description": description, "tags": tags}


def _about(joined: WorkerJoined) -> dict[str, Any]:
    return {
        "host": joined.host,
        "pid": joined.pid,
        "pool": joined.pool,
        "kind": joined.kind,
        "sandbox": joined.sandbox or "strongest",
        "labels": joined.labels,
        "limits": {"attemptsAtOnce": joined.concurrency, "memoryMiB": joined.memory_mb or None},
    }
