"""Handing a task from one agent to another: what the giver offers, and what the receiver is told."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.shape import Shape

NOTES_BYTES = 256 * 1024
"""The notes of an offer may be this large, as JSON; what is larger belongs into the workspace."""
MOST_HANDED = 3
ACCEPT_WITHIN_S = 60.0
NOT_ACCEPTED = "not_accepted"
"""Code of an attempt that was handed over and that nobody took."""


class Earlier(Shape):
    """What another task made of the same files before: to be built on."""

    task: str
    snapshot: dict[str, Any]


class HandOffRule(Shape):
    """What a task's plan says about handing it on.

    Attributes:
        to: skills it may be handed to; None for any, none at all forbids it.
        most: how many times; with every further offer the giver is told so, and with the one after that the task fails.
        accept_within_s: an offer that no worker has taken for this long goes back to its giver.
    """

    to: tuple[str, ...] | None = None
    most: int = Field(default=MOST_HANDED, ge=0, le=100)
    accept_within_s: float = Field(default=ACCEPT_WITHIN_S, gt=0, le=86400)


class HandOff(Shape):
    """The word with which an attempt ends that hands its task on.

    Attributes:
        to: the skill that shall go on with it.
        onto: what other tasks had made and was merged into the workspace before this attempt began.
    """

    to: str
    why: str
    notes: dict[str, Any] = Field(default_factory=dict)
    onto: tuple[Earlier, ...] = ()


class Turn(Shape):
    """One turn at a task that ended with its being handed on."""

    attempt: int
    skill: str
    agent: str = ""
    worker: str = ""
    to: str
    why: str


class Handed(Shape):
    """What an attempt is told that goes on where another one stopped.

    Attributes:
        skill, agent, worker, attempt: who made the offer, and in which attempt.
        why, notes: in the giver's words.
        workspace: snapshot of what the giver had made so far; the attempt begins with it.
        onto: what other tasks had made is in there already.
        turns: all turns before, the offer's own last: what was tried, and how the task went round.
        returned: why the offer came back to its giver, who is the one told; empty where it was handed on.
        accept_within_s: as in the rule.
    """

    skill: str
    agent: str = ""
    worker: str = ""
    attempt: int
    why: str
    notes: dict[str, Any] = Field(default_factory=dict)
    workspace: dict[str, Any] | None = None
    onto: tuple[Earlier, ...] = ()
    turns: tuple[Turn, ...] = ()
    returned: str = ""
    accept_within_s: float = ACCEPT_WITHIN_S
