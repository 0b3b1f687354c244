"""How good agents and workers are at their skills, folded from the log. Pure, and small enough to be folded anywhere.

An attempt belongs to the skill that its dispatch names, and to the agent and worker that claimed it. It is bounded:
what is known of attempts under way goes when they end, and of workers the newest are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field

from projections.registry.tally import NOTHING, Spent, Tally
from schemas.cards import SkillCard
from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.llm import LlmCompleted
from schemas.events.worker import WorkerJoined, WorkerLearned
from schemas.events.world import WorldViolated

NOUNS = ("worker", "action", "attempt", "llm", "world")
"""What it is folded from."""
_WORKERS_KEPT = 2000
_UNDER_WAY = 100_000


type _Attempt = tuple[str, str, str, int]


@dataclass
class Quality:
    """Tallies by skill and agent, and by skill and worker; and who offered which version of a skill.

    ``cards``: what was said last of a skill of an agent: whether it was learned, whether it is deprecated.
    """

    agents: dict[tuple[str, str], Tally] = field(default_factory=dict)
    workers: OrderedDict[tuple[str, str], Tally] = field(default_factory=OrderedDict)
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    cards: dict[tuple[str, str], SkillCard] = field(default_factory=dict)
    _skills: OrderedDict[_Attempt, str] = field(default_factory=OrderedDict)
    _claims: dict[_Attempt, tuple[str, str]] = field(default_factory=dict)
    _ended: OrderedDict[_Attempt, tuple[str, str, str]] = field(default_factory=OrderedDict)
    _spent: dict[_Attempt, Spent] = field(default_factory=dict)

    def take(self, payload: Payload, tenant: str, mission: str, at: float = 0.0) -> None:
        """Take in the next fact of the log, written at ``at`` (POSIX seconds)."""
        match payload:
            case WorkerJoined() as event:
                for card in event.cards:
                    self._offer(card)
            case WorkerLearned() as event:
                self._offer(event.card)
            case ActionDispatched() as event:
                self._skills[tenant, mission, event.task, event.attempt] = event.order.skill
                if len(self._skills) > _UNDER_WAY:
                    old = self._skills.popitem(last=False)[0]
                    self._claims.pop(old, None)
                    self._spent.pop(old, None)
            case LlmCompleted() as event:
                attempt = (tenant, mission, event.task, event.attempt)
                if attempt in self._claims:
                    before = self._spent.get(attempt, NOTHING)
                    self._spent[attempt] = before.plus(event.tokens_in + event.tokens_out, event.cost_usd)
            case AttemptStarted() as event:
                self._claims.setdefault((tenant, mission, event.task, event.attempt), (event.agent, event.worker))
            case AttemptFinished() as event:
                self._end((tenant, mission, event.task, event.attempt), event, at)
            case ActionExpired() as event:
                self._end((tenant, mission, event.task, event.attempt), None, at)
            case WorldViolated() as event:
                self._violate((tenant, mission, event.task, event.attempt), at)

    def of_skill(self, skill: str) -> Tally:
        """All agents together."""
        return _sum(tally for (name, _), tally in self.agents.items() if name == skill)

    def skills(self) -> list[str]:
        """All skills that somebody offered or had."""
        return sorted({*self.versions, *(skill for skill, _ in self.agents)})

    def _offer(self, card: SkillCard) -> None:
        seen = self.versions.setdefault(card.id, {})
        seen[card.version] = seen.get(card.version, 0) + 1
        self.cards[card.id, card.agent] = card

    def _end(self, attempt: _Attempt, finished: AttemptFinished | None, at: float) -> None:
        skill, claim = self._skills.pop(attempt, None), self._claims.pop(attempt, None)
        spent = self._spent.pop(attempt, NOTHING)
        if skill is None or claim is None:
            return  # the late word of an attempt that was given up, or one that nobody had claimed
        agent, worker = claim
        for tally in (self.agents.setdefault((skill, agent), Tally()), self._worker(skill, worker)):
            if finished is None:
                tally.gone(at)
                continue
            well = None if finished.is_offer else finished.outcome == "succeeded"
            tally.ended(well=well, seconds=finished.observation.duration_s, at=at, spent=spent)
        self._ended[attempt] = (skill, agent, worker)
        if len(self._ended) > _UNDER_WAY:
            self._ended.popitem(last=False)

    def _violate(self, attempt: _Attempt, at: float) -> None:
        if (known := self._ended.pop(attempt, None)) is not None:
            skill, agent, worker = known
            self.agents[skill, agent].objected(at)
            self._worker(skill, worker).objected(at)

    def _worker(self, skill: str, worker: str) -> Tally:
        tally = self.workers.setdefault((skill, worker), Tally())
        self.workers.move_to_end((skill, worker))
        if len(self.workers) > _WORKERS_KEPT:
            self.workers.popitem(last=False)
        return tally


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(deepcopy(tally))
    return total
