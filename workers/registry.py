"""Finding agents: those that come with us, and those that the user names."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.cards import SkillCard, TopicCard
from schemas.errors import InvalidInput
from schemas.ids import token
from schemas.requirements import profile, queue_of
from workers import agents as builtin
from workers.agents.base import Agent
from workers.notebook import MOST, Notebook


class Registry:
    """The agents of one worker, by skill.

    Args:
        imports: modules with agents of the user's own; they go before ours where both offer a skill.
        skills: what the worker shall take; None for everything found.

    Raises:
        InvalidInput: a module cannot be imported, has no agents, or a skill is offered by nobody.
    """

    _notebook: Notebook | None = None

    def __init__(self, imports: Iterable[str] = (), skills: Iterable[str] | None = None) -> None:
        found: dict[str, Agent] = {}
        for kind in _builtin_agents():
            _offer(found, kind)
        for name in imports:
            kinds = _agents_in(_import(name))
            if not kinds:
                raise InvalidInput(
                    f"module {name!r} has no agents",
                    hint="an agent is a subclass of stigmergy.Agent with skills and run()",
                )
            for kind in kinds:
                _offer(found, kind)
        self._by_skill = found if skills is None else _chosen(found, skills)
        self._own = frozenset(self._by_skill)
        self._learned: dict[str, SkillCard] = {}
        self._read = 0

    @property
    def skills(self) -> tuple[str, ...]:
        """What the worker takes."""
        return tuple(sorted(self._by_skill))

    @property
    def agents(self) -> dict[str, tuple[str, ...]]:
        """Agent's name to its skills."""
        cards: dict[str, list[str]] = {}
        for skill, agent in sorted(self._by_skill.items()):
            cards.setdefault(agent.name, []).append(skill)
        return {name: tuple(skills) for name, skills in cards.items()}

    @property
    def cards(self) -> tuple[SkillCard, ...]:
        """What is said of each skill, for whoever looks for one."""
        by_skill = sorted(self._by_skill.items())
        return tuple(self._learned.get(skill) or _card(skill, agent) for skill, agent in by_skill)

    @property
    def answers(self) -> dict[str, tuple[type[Agent], str]]:
        """What agents of other workers may ask: topic to the agent that answers, and its method."""
        found: dict[str, tuple[type[Agent], str]] = {}
        for kind in dict.fromkeys(type(agent) for _, agent in sorted(self._by_skill.items())):
            for topic, method in kind.topics().items():
                found.setdefault(token(topic, "topic"), (kind, method))
        return dict(sorted(found.items()))

    @property
    def answers_at_once(self) -> int:
        """How many such requests at once."""
        return max((kind.answers_at_once for kind, _ in self.answers.values()), default=1)

    @property
    def topic_cards(self) -> tuple[TopicCard, ...]:
        """What is said of each topic, for whoever looks for one."""
        return tuple(_topic_card(topic, kind, method) for topic, (kind, method) in self.answers.items())

    @property
    def versions(self) -> dict[str, str]:
        """Of the agents behind the skills, where they are not 1."""
        return {skill: agent.version for skill, agent in self._by_skill.items() if agent.version != "1"}

    @property
    def deprecated(self) -> dict[str, str]:
        """Skills that their agents would rather not do any more, and what to use instead."""
        return {
            skill: self._by_skill[skill].deprecated[skill]
            for skill in self.skills
            if skill in self._by_skill[skill].deprecated
        }

    def profile(self, labels: Mapping[str, str], kind: str) -> str:
        """What the workers of this machine with these labels, in pools of this kind, have in common. It stays the same
        when one learns."""
        versions = {skill: version for skill, version in self.versions.items() if skill in self._own}
        return profile(socket.gethostname(), labels, versions, self.deprecated, kind=kind)

    def queues(self, labels: Mapping[str, str], kind: str) -> tuple[str, ...]:
        """The queues that the worker reads: of each skill that of the profile, and unless it is deprecated that for
        everybody."""
        own, old = self.profile(labels, kind), self.deprecated
        everybody = (queue_of(skill) for skill in self.skills if skill not in old)
        return (*everybody, *(queue_of(skill, own) for skill in self.skills))

    def share(self, notebook: Notebook) -> None:
        """Know what the pool has learned, and let it know what is learned here."""
        self._notebook = notebook
        self.catch_up()

    def learn(self, card: SkillCard) -> bool:
        """Offer one more skill, done by the agent that the card names. False if that agent offers it already.

        Raises:
            InvalidInput: it is no name for a skill, another agent offers it, the agent is not here, or it is too much.
        """
        self.catch_up()
        offered = self._by_skill.get(token(card.id, "skill"))
        if offered is not None and offered.name == card.agent:
            return False
        if offered is not None:
            raise InvalidInput(f"the skill {card.id!r} is offered by the agent {offered.name!r} here already")
        if len(self._learned) >= MOST:
            raise InvalidInput(
                f"this pool has learned {MOST} skills already", hint="let the differences be inputs of one skill"
            )
        if not self._take_in(card):
            raise InvalidInput(f"there is no agent {card.agent!r} here to do {card.id!r}")
        if self._notebook is not None:
            self._notebook.put(card)
        return True

    def catch_up(self) -> None:
        """Take in what other processes of the pool have learned."""
        if self._notebook is not None:
            self._read, cards = self._notebook.since(self._read)
            for card in cards:
                self._take_in(card)

    def _take_in(self, card: SkillCard) -> bool:
        agent = next((agent for agent in self._by_skill.values() if agent.name == card.agent), None)
        if agent is None:
            return False
        # A new dict: heartbeats read it from another thread.
        self._by_skill = {card.id: agent, **self._by_skill}
        self._learned = {**self._learned, card.id: card}
        return True

    @property
    def nature(self) -> str:
        """``io`` if all that the worker takes waits most of the time, else ``cpu``."""
        return "io" if {agent.nature for agent in self._by_skill.values()} == {"io"} else "cpu"

    def for_skill(self, skill: str) -> Agent:
        """The agent for a skill. Raises :class:`InvalidInput`."""
        if skill not in self._by_skill:
            self.catch_up()
        try:
            return self._by_skill[skill]
        except KeyError:
            raise InvalidInput(f"this worker has no agent for the skill {skill!r}") from None


def queues_of(skill: str, of_profile: str) -> tuple[str, str]:
    """The queue for everybody who has the skill, and that of the profile."""
    return queue_of(skill), queue_of(skill, of_profile)


def _builtin_agents() -> list[type[Agent]]:
    modules = [importlib.import_module(f"{builtin.__name__}.{m.name}") for m in pkgutil.iter_modules(builtin.__path__)]
    return [kind for module in modules for kind in _agents_in(module)]


def _agents_in(module: object) -> list[type[Agent]]:
    kinds = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Agent)]
    own = [
        kind for kind in kinds if not inspect.isabstract(kind) and kind.__module__ == getattr(module, "__name__", "")
    ]
    return sorted(own, key=lambda kind: kind.__name__)


def _import(name: str) -> object:
    """A module by its dotted name, or by the path of its file; the working directory is searched as well."""
    where = str(Path.cwd())
    if name.endswith(".py") or "/" in name:
        path = Path(name).resolve()
        where, name = str(path.parent), path.stem
    if where not in sys.path:
        sys.path.insert(0, where)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InvalidInput(
            f"cannot import {name!r}: {error}", hint="run the command where the module lies, or install its package"
        ) from error
    except Exception as error:
        raise InvalidInput(f"importing {name!r} failed: {type(error).__name__}: {error}") from error


def _card(skill: str, agent: Agent) -> SkillCard:
    about = (inspect.getdoc(type(agent)) or "").partition("\n\n")[0].replace("\n", " ")
    return SkillCard(
        id=skill,
        agent=agent.name,
        description=about,
        tags=agent.tags,
        version=agent.version,
        nature=agent.nature,
        deprecated=agent.deprecated.get(skill, ""),
    )


def _topic_card(topic: str, kind: type[Agent], method: str) -> TopicCard:
    about = (inspect.getdoc(getattr(kind, method)) or "").partition("\n\n")[0].replace("\n", " ")
    return TopicCard(topic=topic, agent=kind.named(), description=about)


def _offer(found: dict[str, Agent], kind: type[Agent]) -> None:
    if not kind.skills:
        raise InvalidInput(f"agent {kind.__name__} has no skills", hint='add for instance: skills = ("summarise",)')
    agent = kind()
    for skill in kind.skills:
        found[token(skill, "skill")] = agent


def _chosen(found: dict[str, Agent], skills: Iterable[str]) -> dict[str, Agent]:
    wanted = list(skills)
    unknown = [skill for skill in wanted if skill not in found]
    if unknown:
        raise InvalidInput(
            f"no agent has the skill {unknown[0]!r}; there are: {', '.join(sorted(found))}",
            hint="--import names a module with agents of your own",
        )
    return {skill: found[skill] for skill in wanted}
