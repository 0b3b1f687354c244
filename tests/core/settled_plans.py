"""Random parts of plans that are settled by their members: ballots, and choices among parallel attempts."""

from __future__ import annotations

from random import Random
from typing import Any

from schemas.ballots import ChoiceSpec, Elector, Pick, Quorum, Undecided, VoteSpec, VotingRule
from schemas.plan import RetryPolicy, TaskSpec

OPTIONS = ("a", "b", "c")
RULES: tuple[VotingRule, ...] = (
    "simple", "two_thirds", "weighted", "unanimous", "plurality", "ranked", "schulze"
)  # fmt: skip


def said(rng: Random) -> dict[str, Any]:
    """How somebody votes; now and then it is no vote."""
    ranking = rng.sample(OPTIONS, rng.randint(1, 3))
    votes: list[dict[str, Any]] = [
        {"choice": rng.choice(OPTIONS), "reason": "so"},
        {"choice": rng.choice(OPTIONS)},
        {"ranking": ranking},
        {"scores": {option: rng.randint(0, 3) for option in ranking}},
        {"choice": None, "reason": "I do not know"},
        {"choice": "z"},
        {},
    ]
    return rng.choice(votes) if rng.random() < 0.4 else rng.choice(votes[:2])


def make_settled(rng: Random, name: str, needs: tuple[str, ...], goal: str) -> list[TaskSpec]:
    """An owner and its members."""
    return _ballot(rng, name, needs, goal) if rng.random() < 0.5 else _choice(rng, name, needs, goal)


def _task(rng: Random, name: str, owner: str, needs: tuple[str, ...], goal: str) -> TaskSpec:
    retry = RetryPolicy(max_attempts=rng.randint(1, 2), delay_s=0.2)
    return TaskSpec(id=name, skill="s", needs=needs, goal=goal, member_of=owner, retry=retry)


def _ballot(rng: Random, name: str, needs: tuple[str, ...], goal: str, owner: str = "") -> list[TaskSpec]:
    tasks = [_task(rng, f"{name}.{number}", name, needs, goal) for number in range(1, rng.randint(1, 4))]
    electors = [Elector(name=task.id, kind="task", weight=rng.choice((1, 1, 2.5))) for task in tasks]
    electors += [Elector(name="ann")] if rng.random() < 0.3 or not tasks else []
    electors += [Elector(name="w", kind="agent")] if rng.random() < 0.3 else []
    undecided: Undecided = rng.choice(("fail", "ask", "status_quo"))
    vote = VoteSpec(
        question="Which?",
        options=OPTIONS if rng.random() < 0.9 else "${nobody.output.options}",
        electorate=tuple(electors),
        rule=rng.choice(RULES),
        quorum=Quorum(share=rng.choice((0, 0, 0.5, 1)), members=rng.choice((0, 0, 1, 2))),
        deadline_s=rng.choice((1.0, 30.0, 1e15)),
        undecided=undecided,
        status_quo="c",
    )
    return [TaskSpec(id=name, skill="", needs=needs, goal=goal, settle=vote, member_of=owner), *tasks]


def _choice(rng: Random, name: str, needs: tuple[str, ...], goal: str) -> list[TaskSpec]:
    pick: Pick = rng.choice(("first", "best", "vote", "merge", "ballot"))
    names = tuple(f"{name}.{number}" for number in range(1, rng.randint(2, 4)))
    parts = f"{name}.parts" if pick in ("merge", "ballot") and rng.random() < 0.8 else ""
    made = [_task(rng, one, parts or name, needs, goal) for one in names]
    how: dict[str, Any] = {"score": rng.choice(("output.n", "output.x"))} if pick == "best" else {}
    how |= {"agree": rng.choice(("", "n", "x")), "at_least": rng.choice((1, 1, 2))} if pick in ("vote", "merge") else {}
    if parts:
        settle = ChoiceSpec(of=names, pick="merge")
        made.append(TaskSpec(id=parts, skill="", needs=needs, goal=goal, settle=settle, member_of=name))
    if pick == "merge" and parts:
        how["merged"] = f"{name}.merge"
        made.append(_task(rng, f"{name}.merge", name, (parts,), goal))
    if pick == "ballot":
        how["by"] = f"{name}.ballot"
        ballot, *voters = _ballot(rng, f"{name}.ballot", (parts,) if parts else needs, goal, owner=name)
        assert isinstance(ballot.settle, VoteSpec)
        options = f"${{{parts}.output.parts[*].task}}" if parts else names
        vote = ballot.settle.model_copy(update={"options": options, "undecided": "fail"})
        made += [ballot.model_copy(update={"settle": vote}), *voters]
    of = (parts,) if pick == "merge" and parts else names
    owner = TaskSpec(id=name, skill="", needs=needs, goal=goal, settle=ChoiceSpec(of=of, pick=pick, **how))
    return [owner, *made]
