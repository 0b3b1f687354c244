"""How good agents and workers are at their skills, folded from the log. Pure, and small enough to be folded anywhere.

An attempt belongs to the skill that its dispatch names, and to the agent and worker that claimed it. It is bounded:
what is known of attempts under way goes when they end, and of workers the newest are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.events import Payload
from schemas.events.action import ActionDispatched, ActionExpired
from schemas.events.attempt import AttemptFinished, AttemptStarted
from schemas.events.worker import WorkerJoined
from schemas.events.world import WorldViolated

NOUNS = ("worker", "action", "attempt", "world")
"""What it is folded from."""
_WORKERS_KEPT = 2000
_UNDER_WAY = 100_000


@dataclass
class Tally:
    """Attempts of one kind. ``seconds`` is the sum over those that ended by themselves."""

    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    violated: int = 0
    seconds: float = 0.0

    @property
    def attempts(self) -> int:
        return self.succeeded + self.failed + self.lost

    @property
    def success_rate(self) -> float | None:
        """Share that ended well and was found to be as expected; None before the first."""
        return (self.succeeded - self.violated) / self.attempts if self.attempts else None

    @property
    def expected_rate(self) -> float:
        """The share to expect of the next: the mean of the Beta distribution over a flat prior (rule of succession)."""
        return (max(0, self.succeeded - self.violated) + 1) / (self.attempts + 2)

    @property
    def mean_s(self) -> float | None:
        """How long one takes."""
        ended = self.succeeded + self.failed
        return self.seconds / ended if ended else None


type _Attempt = tuple[str, str, str, int]


@dataclass
class Quality:
    """Tallies by skill and agent, and by skill and worker; and who offered which version of a skill."""

    agents: dict[tuple[str, str], Tally] = field(default_factory=dict)
    workers: OrderedDict[tuple[str, str], Tally] = field(default_factory=OrderedDict)
    versions: dict[str, dict[str, int]] = field(default_factory=dict)
    _skills: OrderedDict[_Attempt, str] = field(default_factory=OrderedDict)
    _claims: dict[_Attempt, tuple[str, str]] = field(default_factory=dict)
    _ended: OrderedDict[_Attempt, tuple[str, str, str]] = field(default_factory=OrderedDict)

    def take(self, payload: Payload, tenant: str, mission: str) -> None:
        """Take in the next fact of the log."""
        match payload:
            case WorkerJoined() as event:
                for card in event.cards:
                    seen = self.versions.setdefault(card.id, {})
                    seen[card.version] = seen.get(card.version, 0) + 1
            case ActionDispatched() as event:
                self._skills[tenant, mission, event.task, event.attempt] = event.order.skill
                if len(self._skills) > _UNDER_WAY:
                    self._claims.pop(self._skills.popitem(last=False)[0], None)
            case AttemptStarted() as event:
                self._claims.setdefault((tenant, mission, event.task, event.attempt), (event.agent, event.worker))
            case AttemptFinished() as event:
                self._end((tenant, mission, event.task, event.attempt), event)
            case ActionExpired() as event:
                self._end((tenant, mission, event.task, event.attempt), None)
            case WorldViolated() as event:
                self._violate((tenant, mission, event.task, event.attempt))

    def of_skill(self, skill: str) -> Tally:
        """All agents together."""
        return _sum(tally for (name, _), tally in self.agents.items() if name == skill)

    def skills(self) -> list[str]:
        """All skills that somebody offered or had."""
        return sorted({*self.versions, *(skill for skill, _ in self.agents)})

    def _end(self, attempt: _Attempt, finished: AttemptFinished | None) -> None:
        skill, claim = self._skills.pop(attempt, None), self._claims.pop(attempt, None)
        if skill is None or claim is None:
            return  # the late word of an attempt that was given up, or one that nobody had claimed
        agent, worker = claim
        for tally in (self.agents.setdefault((skill, agent), Tally()), self._worker(skill, worker)):
            if finished is None:
                tally.lost += 1
                continue
            tally.succeeded += finished.outcome == "succeeded"
            tally.failed += finished.outcome not in ("succeeded", "handed_off")
            tally.seconds += finished.observation.duration_s
        self._ended[attempt] = (skill, agent, worker)
        if len(self._ended) > _UNDER_WAY:
            self._ended.popitem(last=False)

    def _violate(self, attempt: _Attempt) -> None:
        if (known := self._ended.pop(attempt, None)) is not None:
            skill, agent, worker = known
            self.agents[skill, agent].violated += 1
            self._worker(skill, worker).violated += 1

    def _worker(self, skill: str, worker: str) -> Tally:
        tally = self.workers.setdefault((skill, worker), Tally())
        self.workers.move_to_end((skill, worker))
        if len(self.workers) > _WORKERS_KEPT:
            self.workers.popitem(last=False)
        return tally


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.succeeded += tally.succeeded
        total.failed += tally.failed
        total.lost += tally.lost
        total.violated += tally.violated
        total.seconds += tally.seconds
    return total
