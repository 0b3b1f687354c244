"""Tasks that a template has settled by others: ``vote`` becomes a ballot and the tasks that vote, ``attempts`` becomes
parallel tasks and what chooses among them. Members are called ``<task>.<number>``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.core.references import sole_reference
from orchestrator.planning.fields import FieldReader, Key
from orchestrator.planning.findings import Path
from orchestrator.planning.node import Node
from orchestrator.planning.shorthand import duration
from schemas.ballots import ChoiceSpec, Elector, Quorum, VoteSpec
from schemas.conditions import check_condition
from schemas.errors import InvalidWorkflow
from schemas.plan import TaskSpec

MOST_PARALLEL = 100
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?) ?%|([0-9]{1,4})/([0-9]{1,4})")


def _texts(node: Node) -> Any:
    """A list of texts, or the one reference that stands for it."""
    plain = node.plain
    if isinstance(plain, str) and sole_reference(plain) is not None:
        return plain
    return tuple(plain) if isinstance(plain, list) else plain


def quorum_of(plain: Any) -> Quorum:
    """``2`` members; ``60%`` or ``2/3`` of the weight; or ``{share: 0.5, members: 2}``. Raises InvalidWorkflow."""
    match = _SHARE.fullmatch(str(plain))
    if isinstance(plain, dict) and plain.keys() <= {"share", "members"}:
        share = quorum_of(plain.get("share", "0%")).share
        members = plain.get("members", 0)
        if isinstance(members, int) and members >= 0:
            return Quorum(share=share, members=members)
    elif isinstance(plain, int) and not isinstance(plain, bool) and plain >= 1:
        return Quorum(members=plain)
    elif isinstance(plain, float) and 0 <= plain <= 1:
        return Quorum(share=plain)
    elif match is not None and (match[1] or int(match[3])):
        share = float(match[1]) / 100 if match[1] else int(match[2]) / int(match[3])
        if share <= 1:
            return Quorum(share=round(share, 6))
    raise InvalidWorkflow(f"{plain!r} is no quorum", hint="write a number of members, 60%, or 2/3")


def _condition(node: Node) -> str:
    try:
        check_condition(str(node.plain))
    except ValueError as error:
        raise InvalidWorkflow(str(error), hint="for instance output.score, or tests.passed - tests.failed") from error
    return str(node.plain)


_VOTE: dict[str, Key] = {
    **{name: Key(name) for name in ("question", "rule", "undecided", "status_quo")},
    "options": Key("options", _texts),
    "quorum": Key("quorum", lambda node: quorum_of(node.plain)),
    "deadline": Key("deadline_s", lambda node: duration(node.plain)),
}
_ATTEMPTS: dict[str, Key] = {
    **{name: Key(name) for name in ("pick", "agree", "at_least")},
    "score": Key("score", _condition),
}
_VOTER = ("skill", "person", "agent", "count", "weight", "inputs")


class SettledReader(FieldReader):
    """Reads ``vote`` and ``attempts``."""

    def vote(self, base: TaskSpec, node: Node, path: Path, *, member_of: str = "", **known: Any) -> list[TaskSpec]:
        """The ballot and its voters; empty if something is wrong.

        Args:
            base: what the template says of the task; of the voters' tasks, but for title, goal and needs.
            known: fields of the ballot that are not written.
        """
        entries = self.known_keys(node, [*_VOTE, "voters"], path, "a vote")
        if entries is None:
            return []
        for name in ("question", "options", "voters"):
            if name not in entries and name not in known:
                self.note(path, f"the vote of {base.id!r} has no {name!r}", f"write {name}: …")
        voters = self._voters(base, entries.get("voters"), (*path, "voters"))
        if not voters:
            return []
        electorate = tuple(elector for elector, _ in voters)
        vote = self.made(VoteSpec, entries, _VOTE, {**known, "electorate": electorate}, path)
        if vote is None:
            return []
        if vote.undecided == "status_quo" and not vote.status_quo:
            self.note(path, "no 'status_quo' is named", "name the option that stands where the votes decide nothing")
        asked = {
            "question": vote.question,
            "options": vote.options if isinstance(vote.options, str) else [*vote.options],
        }
        tasks = [task.model_copy(update={"inputs": {**asked, **task.inputs}}) for _, task in voters if task is not None]
        return [_owner(base, vote, member_of), *tasks]

    def _voters(self, base: TaskSpec, node: Node | None, path: Path) -> list[tuple[Elector, TaskSpec | None]]:
        if node is None:
            return []
        found: list[tuple[Elector, TaskSpec | None]] = []
        for number, one in enumerate(node.value if isinstance(node.value, list) else [node]):
            if isinstance(one.value, str):
                one = Node({"skill": one}, one.mark, {"skill": one.mark})
            entries = self.known_keys(one, _VOTER, (*path, number), "a voter")
            if entries is not None:
                found += self._voter(base, entries, (*path, number), len(found))
        if not found and not self.findings:
            self.note(path, "nobody votes", "list who does: voters: [{skill: review, count: 3}, {person: ann}]")
        return found

    def _voter(
        self, base: TaskSpec, entries: Mapping[str, Node], path: Path, so_far: int
    ) -> list[tuple[Elector, TaskSpec | None]]:
        given = {name: inner.plain for name, inner in entries.items()}
        who = [name for name in ("skill", "person", "agent") if isinstance(given.get(name), str) and given[name]]
        count, weight, inputs = given.get("count", 1), given.get("weight", 1), given.get("inputs", {})
        if len(who) != 1:
            self.note(path, "a voter is one of skill, person, agent", "write {skill: review}, or {person: ann}")
        elif not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_PARALLEL:
            self.note((*path, "count"), f"{count!r} is no number of voters", f"write 1 to {MOST_PARALLEL}")
        elif not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight <= 1e6:
            self.note((*path, "weight"), f"{weight!r} is no weight", "write a number above 0")
        elif not isinstance(inputs, dict):
            self.note((*path, "inputs"), "'inputs' is no mapping", "write inputs: {role: security}")
        elif who[0] != "skill":
            kind: Any = who[0]
            return [(Elector(name=given[kind], kind=kind, weight=weight), None)]
        else:
            names = [f"{base.id}.{so_far + number}" for number in range(1, count + 1)]
            own = {"skill": given["skill"], "inputs": {**base.inputs, **inputs}, "member_of": base.id}
            return [
                (Elector(name=name, kind="task", weight=weight), base.model_copy(update={**own, "id": name}))
                for name in names
            ]
        return []

    def attempts(self, base: TaskSpec, node: Node, path: Path) -> list[TaskSpec]:
        """The parallel tasks and their owner; empty if something is wrong."""
        if isinstance(node.value, int):
            node = Node({"parallel": node}, node.mark, {"parallel": node.mark})
        entries = self.known_keys(node, [*_ATTEMPTS, "parallel", "skills", "ballot"], path, "attempts")
        if entries is None:
            return []
        before = len(self.findings)
        given = {name: entries[name].plain for name in ("parallel", "skills") if name in entries}
        skills = [given["skills"]] if isinstance(given.get("skills"), str) else given.get("skills", [base.skill])
        if not isinstance(skills, list) or not all(isinstance(skill, str) and skill for skill in skills) or not skills:
            self.note((*path, "skills"), f"{skills!r} is no list of skills", "write skills: [code, careful-code]")
            skills = [""]
        number = given.get("parallel", len(skills))
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_PARALLEL:
            self.note((*path, "parallel"), f"{number!r} is no number of attempts", f"write 1 to {MOST_PARALLEL}")
            number = 1
        names = tuple(f"{base.id}.{place}" for place in range(1, number + 1))
        extra = {"of": names, "pick": "first"} if "pick" not in entries else {"of": names}
        choice = self.made(ChoiceSpec, entries, _ATTEMPTS, extra, path)
        if choice is None or len(self.findings) > before:
            return []
        tasks = [
            base.model_copy(update={"id": name, "skill": skills[place % len(skills)], "member_of": base.id})
            for place, name in enumerate(names)
        ]
        return self._chosen(base, choice, tasks, entries, path)

    def _chosen(
        self, base: TaskSpec, choice: ChoiceSpec, tasks: list[TaskSpec], entries: Mapping[str, Node], path: Path
    ) -> list[TaskSpec]:
        if (choice.pick == "best") is not bool(choice.score):
            self.note(path, "pick: best and a score belong together", "pick: best, score: output.score")
            return []
        if (choice.pick == "ballot") is not ("ballot" in entries):
            self.note(path, "pick: ballot and a ballot belong together", "pick: ballot, ballot: {voters: [review]}")
            return []
        if base.barrier is not None and base.workspace is not None and choice.pick in ("merge", "ballot"):
            mend = "put the barrier before a task of its own, and let this one take its workspace from there"
            self.note(path, f"behind a barrier, attempts in a workspace cannot have pick: {choice.pick}", mend)
            return []
        parts = f"{base.id}.parts"
        if choice.pick == "ballot" or (choice.pick == "merge" and base.workspace is not None):
            gathered = ChoiceSpec(of=choice.of, pick="merge", at_least=choice.at_least)
            tasks = [task.model_copy(update={"member_of": parts}) for task in tasks]
            tasks.append(_owner(base, gathered, base.id).model_copy(update={"id": parts}))
        if choice.pick == "ballot":
            return self._by_ballot(base, choice, tasks, entries["ballot"], (*path, "ballot"))
        if choice.pick == "merge" and base.workspace is not None:
            merge = f"{base.id}.merge"
            tasks.append(_merging(base, merge, parts))
            choice = choice.model_copy(update={"of": (parts,), "merged": merge, "at_least": 1})
        return [_owner(base, choice, ""), *tasks]

    def _by_ballot(
        self, base: TaskSpec, choice: ChoiceSpec, tasks: list[TaskSpec], node: Node, path: Path
    ) -> list[TaskSpec]:
        name, parts = f"{base.id}.ballot", f"{base.id}.parts"
        candidates = {"candidates": f"${{{parts}.output.parts}}"}
        asked = base.model_copy(
            update={
                "id": name,
                "inputs": candidates,
                "intent": "",
                "needs": (parts,),
                "barrier": None,
                "expects": (),
                "writes": (),
            }
        )
        known: dict[str, Any] = {"options": f"${{{parts}.output.parts[*].task}}"}
        if "question" not in (node.mapping or {}):
            known["question"] = f"Which attempt at {base.title or base.id} shall be taken?"
        ballot = self.vote(asked, node, path, member_of=base.id, **known)
        return [_owner(base, choice.model_copy(update={"by": name}), ""), *tasks, *ballot]


def _owner(base: TaskSpec, settle: VoteSpec | ChoiceSpec, member_of: str) -> TaskSpec:
    return TaskSpec(
        id=base.id,
        skill="",
        title=base.title,
        needs=base.needs,
        goal=base.goal,
        priority=base.priority,
        barrier=base.barrier,
        settle=settle,
        member_of=member_of,
    )


def _merging(base: TaskSpec, name: str, parts: str) -> TaskSpec:
    sides = {"sides": f"${{{parts}.output.parts[*].workspace}}", "names": f"${{{parts}.output.parts[*].task}}"}
    return TaskSpec(
        id=name,
        skill="integrate",
        intent="MergeChanges",
        inputs=sides,
        workspace=base.workspace,
        needs=(*base.needs, parts),
        goal=base.goal,
        priority=base.priority,
        timeout_s=base.timeout_s,
        member_of=base.id,
    )
