"""What the simulation can be extended by: a feature is one file in ``features/`` with two classes.

:class:`Feature` says what a seed may draw: it changes plans, adds wishes and missions, and has misfortunes of its own.
:class:`Part` is the feature in one run: it carries out its wishes, has agents do things, lives beside the fleet, and
knows laws. The laws of all features are asked in every run, drawn or not; everything else only where it was drawn.

Nothing else needs to know of a new file: :mod:`tests.simulation.features` finds it. ``features/recovery.py`` is an
example of a feature that changes plans and answers what it sees; ``features/stops.py`` of one with wishes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from schemas.attempts import AttemptOrder
from schemas.events import Payload
from schemas.plan import Plan, TaskSpec
from schemas.signals import Heartbeat
from tests.simulation.node import Node
from tests.simulation.scenario import Scenario, Script, Wish

if TYPE_CHECKING:
    from events.leadership.group import Group
    from tests.simulation.fleet import Fleet
    from tests.simulation.said import Said
    from workers.bench import Bench
    from workers.context import Context

type Mutant = Callable[[], AbstractContextManager[Any]]
"""Plants a bug for the time of a block."""

_WEIGHTS = (0.5, 1.0, 1.0, 2.0)


@dataclass
class Deed:
    """What an agent is about to have done, for features that add to it.

    Attributes:
        output: what it will return; ``chance`` is its own stream.
        context: of the real worker: tools, exit code, scratchpad. Raise whatever an agent may raise.
    """

    order: AttemptOrder
    context: Context
    node: Node
    chance: Random
    output: dict[str, Any] = field(default_factory=dict)


class Part:
    """A feature in one run. A subclass overrides what it needs.

    Attributes:
        laws: type of event to a law, asked before the book takes the event in; raise with
            :meth:`~tests.simulation.said.Said.need`. A part may keep books of its own.
        verbs: verb of a wish to what carries it out.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.laws: Mapping[type[Payload], Callable[[Said], None]] = {}
        self.verbs: Mapping[str, Callable[[Script, Wish], Awaitable[None]]] = {}

    def start(self) -> None:
        """Start processes of its own; see :meth:`~tests.simulation.fleet.Fleet.process`."""

    async def live(self) -> None:
        """Beside the fleet, until the run ends. May raise :class:`~tests.simulation.ledger.Broken`."""

    async def calm(self) -> None:
        """Undo what would keep a mission from ending; called once misfortunes are over and all wishes carried out."""

    def at_rest(self) -> None:
        """Laws that hold once every mission has ended."""

    def act(self, deed: Deed) -> None:
        """Add to what an agent does."""

    def prepare(self, bench: Bench) -> None:
        """Put something on a worker's bench."""

    def heartbeat(self, node: Node, beat: Heartbeat) -> Heartbeat:
        """Change what a worker says of itself."""
        return beat

    def orchestrator(self) -> Mapping[str, Any]:
        """Further arguments of orchestrators."""
        return {}

    def group(self, role: str, node: Node) -> Group | None:
        """With whom a decider shares missions out; None: everybody decides everything."""
        return None


class Feature:
    """A feature as seeds see it. A subclass overrides what it needs.

    Attributes:
        name: a word; also of its stream of chance.
        share: of the seeds that have it.
        rates: its misfortunes and how likely they are at each occasion; ask ``fleet.fates.strikes`` as everybody does.
        part: made anew for every run.
        mutants: bugs that its laws must find, hunted where the feature is drawn for certain.
        sharper: for bugs that want a rare course of events: makes it common.
    """

    name: ClassVar[str]
    share: ClassVar[float] = 0.2
    rates: ClassVar[Mapping[str, float]] = {}
    part: ClassVar[type[Part]] = Part
    mutants: ClassVar[Mapping[str, Mutant]] = {}
    sharper: ClassVar[Mapping[str, Callable[[Scenario], Scenario]]] = {}

    def draw(self, rng: Random, scenario: Scenario) -> Scenario:
        """The scenario with the feature in it."""
        scripts = tuple(self.script(rng, script) for script in scenario.scripts)
        rates = dict(scenario.rates)
        if rates:  # where all is calm it stays calm
            rates.update({kind: min(0.9, rate * rng.choice(_WEIGHTS)) for kind, rate in self.rates.items()})
        return replace(scenario, scripts=scripts, rates=rates)

    def script(self, rng: Random, script: Script) -> Script:
        """One mission with the feature in it."""
        wishes = sorted((*script.wishes, *self.wishes(rng, script)), key=lambda wish: wish.at)
        return replace(script, plan=self.plan(rng, script.plan), wishes=tuple(wishes))

    def wishes(self, rng: Random, script: Script) -> tuple[Wish, ...]:
        """What else somebody wants of a mission."""
        return ()

    def plan(self, rng: Random, plan: Plan) -> Plan:
        """A plan with the feature in it; by default in its tasks."""
        groups = tuple(
            group.model_copy(update={"tasks": tuple(self.task(rng, task) for task in group.tasks)})
            for group in plan.groups
        )
        return plan.model_copy(update={"tasks": tuple(self.task(rng, task) for task in plan.tasks), "groups": groups})

    def task(self, rng: Random, task: TaskSpec) -> TaskSpec:
        """A task with the feature in it."""
        return task
