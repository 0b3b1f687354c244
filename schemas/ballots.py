"""Shapes of decisions by vote, and of choosing among parallel attempts: who decides what, by which rule."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from schemas.shape import Shape

VotingRule = Literal["simple", "two_thirds", "weighted", "unanimous", "plurality", "ranked", "schulze"]
"""When an option wins, by the weight of the votes for it. Abstentions count for the quorum and not here.

``simple``: more than half of what was cast. ``two_thirds``: at least two thirds of it. ``unanimous``: all of it.
``weighted``: more than half of the weight of the whole electorate, so that staying away is no consent.
``plurality``: more than any other option. ``ranked``: instant run-off. ``schulze``: Schulze's method.
"""
RANKED_RULES: tuple[VotingRule, ...] = ("ranked", "schulze")
Undecided = Literal["fail", "ask", "status_quo"]
Weight = Annotated[float, Field(gt=0, le=1e6)]
MOST_ELECTORS = 1000
MOST_OPTIONS = 100
Option = Annotated[str, Field(min_length=1, max_length=200)]


class Elector(Shape):
    """One who may vote: a task by what it comes to, an agent from within its attempts, a person by command."""

    name: str = Field(min_length=1, max_length=100)
    kind: Literal["task", "agent", "person"] = "person"
    weight: Weight = 1.0


class Quorum(Shape):
    """How many must have voted for anything to be decided: a share of the weight of all, and a number of members."""

    share: float = Field(default=0, ge=0, le=1)
    members: int = Field(default=0, ge=0)


class Terms(Shape):
    """What is decided by a ballot, by whom, and how it is counted.

    Attributes:
        deadline_s: counted from the opening.
        undecided: what happens where the votes decide nothing (no quorum, no majority, a tie): the ballot fails, or a
            person is asked, or the option ``status_quo`` stands.
    """

    question: str = Field(min_length=1, max_length=4000)
    options: tuple[Option, ...] = Field(min_length=1, max_length=MOST_OPTIONS)
    electorate: tuple[Elector, ...] = Field(min_length=1, max_length=MOST_ELECTORS)
    rule: VotingRule = "simple"
    quorum: Quorum = Quorum(share=0.5)
    deadline_s: float = Field(default=3600.0, gt=0)
    undecided: Undecided = "fail"
    status_quo: str = ""

    @model_validator(mode="after")
    def _hold_together(self) -> Terms:
        for what, names in (("options", self.options), ("electorate", [one.name for one in self.electorate])):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: each may be there once")
        if self.undecided == "status_quo" and self.status_quo not in self.options:
            raise ValueError(f"status_quo: {self.status_quo!r} is none of the options")
        return self


class _Settling(Shape):
    @model_serializer(mode="wrap")
    def _with_kind(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Defaults are left out on the wire, but the kind is what tells one from the other.
        return {"kind": getattr(self, "kind"), **plain(self)}  # noqa: B009 - declared by every subclass


class VoteSpec(_Settling):
    """A node of a plan that is settled by a ballot: :class:`Terms` whose options may be a reference to a list."""

    kind: Literal["vote"] = "vote"
    question: str = Field(min_length=1, max_length=4000)
    options: tuple[Option, ...] | str
    electorate: tuple[Elector, ...] = Field(min_length=1, max_length=MOST_ELECTORS)
    rule: VotingRule = "simple"
    quorum: Quorum = Quorum(share=0.5)
    deadline_s: float = Field(default=3600.0, gt=0)
    undecided: Undecided = "fail"
    status_quo: str = ""

    def terms(self, question: str, options: Any) -> Terms:
        """The terms of the ballot, once its options are known. Raises ``ValidationError`` if they make none."""
        given = {name: getattr(self, name) for name in Terms.model_fields if name not in ("question", "options")}
        return Terms.model_validate({**given, "question": question, "options": options})


Pick = Literal["first", "best", "vote", "merge", "ballot"]


class ChoiceSpec(_Settling):
    """A node of a plan that takes over what one of several parallel tasks came to, or puts together what all did.

    Attributes:
        of: the parallel tasks.
        pick: ``first`` that succeeded; ``best`` by ``score``; ``vote``: what most of them agree on; ``merge``: lists of
            the outputs are united, and the workspace is that of the task ``merged``, if there is one; ``ballot``: the
            one that the ballot ``by`` has chosen.
        score: an expression over what was observed (see :mod:`schemas.conditions`); the highest wins.
        agree: the part of the output that must be equal to agree, as a path; the whole output and tree if it is empty.
        at_least: how many must agree (``vote``) or must have succeeded (``merge``).
    """

    kind: Literal["choice"] = "choice"
    of: tuple[str, ...] = Field(min_length=1, max_length=100)
    pick: Pick
    score: str = ""
    agree: str = ""
    at_least: int = Field(default=1, ge=1)
    merged: str = ""
    by: str = ""


Settling = Annotated[VoteSpec | ChoiceSpec, Field(discriminator="kind")]


class Vote(Shape):
    """One vote as it counts; an empty ranking is an abstention. ``choice`` is the first of the ranking."""

    voter: str
    ranking: tuple[str, ...] = ()
    reason: str = Field(default="", max_length=4000)
    weight: float = 1.0

    @property
    def choice(self) -> str | None:
        return self.ranking[0] if self.ranking else None


class Turnout(Shape):
    """Who took part: members and their weight, of all there are."""

    voted: int
    members: int
    weight: float
    of: float


class Dissent(Shape):
    """A vote for something else than what was decided, and its reason."""

    voter: str
    choice: str | None
    reason: str = ""
    weight: float = 1.0


class NotChosen(Shape):
    """A parallel attempt that was not taken, and why."""

    task: str
    why: str
    score: float | None = None


def paper(said: dict[str, Any], terms: Terms) -> tuple[tuple[str, ...], str]:
    """The ranking and the reason in what a voter said.

    ``said`` holds ``choice`` (an option; null abstains), or ``ranking`` (options, the best first; the others are worth
    equally little), or ``scores`` (option to number; equal scores rank as the options are listed), and ``reason``.

    Raises:
        ValueError: it is no vote of this ballot; the message says why.
    """
    reason = said.get("reason") or ""
    ranking = _ranking(said, terms.options)
    strange = [option for option in ranking if option not in terms.options]
    if strange:
        raise ValueError(f"{strange[0]!r} is none of the options: {', '.join(map(repr, terms.options[:10]))}")
    if len(set(ranking)) < len(ranking):
        raise ValueError("an option is ranked twice")
    return ranking, str(reason)[:4000]


def _ranking(said: dict[str, Any], options: tuple[str, ...]) -> tuple[str, ...]:
    if said.get("ranking") is not None:
        ranking = said["ranking"]
        if not isinstance(ranking, list | tuple) or not all(isinstance(one, str) for one in ranking):
            raise ValueError("the ranking is no list of options")
        return tuple(ranking)
    if (scores := said.get("scores")) is not None:
        if not isinstance(scores, dict) or not all(_is_number(value) for value in scores.values()):
            raise ValueError("the scores are no mapping of options to numbers")
        unknown = [option for option in scores if option not in options]
        order = {option: place for place, option in enumerate(options)}
        return tuple(unknown) or tuple(sorted(scores, key=lambda option: (-scores[option], order[option])))
    if "choice" not in said:
        raise ValueError("a vote holds 'choice', 'ranking' or 'scores'")
    choice = said["choice"]
    if choice is not None and not isinstance(choice, str):
        raise ValueError("the choice is no text")
    return () if choice is None else (choice,)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
