"""What a mission is to do: goals, tasks, and the groups of tasks that unfold when their items are known."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.ballots import Settling
from schemas.barriers import Barrier
from schemas.budgets import Budget
from schemas.errors import InvalidInput
from schemas.expectations import Category, Expectation
from schemas.handoff import HandOffRule
from schemas.requirements import Value, check_requirements
from schemas.safety import Safety
from schemas.shape import Shape

ROOT_GOAL = "mission"
TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.~-]{0,99}$", description="unique within its mission")]

OnConflict = Literal["merge", "serialise"]
"""What to do about tasks that mean to change the same files: let them work side by side and merge what they made, or
let one wait and build on what the other made."""


StrategyName = Literal["hierarchical", "peer"]
StrategyWish = Literal["auto", "hierarchical", "peer"]


class RetryRule(Shape):
    """What differs from the policy after one kind of failure; what is None does not differ."""

    max_attempts: int | None = Field(default=None, ge=1, le=100)
    delay_s: float | None = Field(default=None, ge=0)
    factor: float | None = Field(default=None, ge=1)
    max_delay_s: float | None = Field(default=None, ge=0)


Recovery = Literal["retry_with_feedback", "other_agent", "smaller_step", "roll_back", "ask", "fail"]


class RecoveryRule(Shape):
    """What to do about a violated expectation.

    Attributes:
        category: of the violations it is for; a template calls it ``on``.
        do: ``retry_with_feedback``: another attempt, told what was wrong. ``roll_back``: another attempt that is told
            nothing; both begin with the task's own workspace, for what a violated attempt made is not used.
            ``other_agent``: another attempt, told what was wrong, by ``skill``. ``ask``: the task waits for a person.
            ``smaller_step``: the planner is asked for tasks to do instead; if it knows none, the task fails. ``fail``:
            no more attempts.
        times: how often, before the next rule is looked for.
    """

    category: Category | Literal["any"] = "any"
    do: Recovery
    times: int = Field(default=1, ge=1, le=100)
    skill: str = Field(default="", description="for other_agent: who shall try it")


class RetryPolicy(Shape):
    """When a further attempt is made.

    The delay before attempt n+1 is ``delay_s * factor ** (n - 1)``, at most ``max_delay_s``, spread by up to a fifth
    (the spread is derived from task and attempt, so that a fold gives the same instant).
    """

    max_attempts: int = Field(default=3, ge=1, le=100)
    delay_s: float = Field(default=0.2, ge=0)
    factor: float = Field(default=2.0, ge=1)
    max_delay_s: float = Field(default=60.0, ge=0)
    on_violation: bool = Field(default=False, description="whether a violated expectation is worth another attempt")
    by_error: dict[str, RetryRule] = Field(default_factory=dict, description="code of a failure to what differs then")
    max_deaths: int = Field(
        default=3, ge=1, le=100, description="after so many workers lost over it the task is quarantined"
    )

    def __hash__(self) -> int:
        # Without ``by_error``, which has none. Pydantic copies a default that has none, each time: 8 µs a task.
        return hash((self.max_attempts, self.delay_s, self.factor, self.max_delay_s, self.on_violation))

    def after(self, code: str) -> RetryPolicy:
        """The policy that holds after a failure of this code."""
        rule = self.by_error.get(code)
        return self if rule is None else self.model_copy(update=rule.model_dump(exclude_none=True))


class Prefer(Shape):
    """What matters where several kinds of workers could make an attempt: weights, 0 for "not at all".

    Attributes:
        quality: the share of attempts that succeed; with weight 1, all instead of none outweigh one attempt of load.
        cost: how cheap they are, in money, else tokens, else seconds, compared with the cheapest.
        speed: how quick they are, compared with the quickest.
    """

    quality: float = Field(default=1.0, ge=0, le=100, allow_inf_nan=False)
    cost: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)
    speed: float = Field(default=0.0, ge=0, le=100, allow_inf_nan=False)


class Strategy(Shape):
    """How the agents of a mission work together, and who chose it: plans of one workflow may differ in that.

    ``hierarchical``: the orchestrator hands out many small tasks. ``peer``: few large ones, whose agents hand over to
    one another.
    """

    name: StrategyName
    because: str = Field(default="", max_length=2000, description="why this one, for people")
    chosen: Literal["auto", "template", "submission"] = "template"


class TaskSpec(Shape):
    """One node of the plan.

    ``inputs`` and ``workspace`` may hold references such as ``${analyze.output.groups}``; they are resolved when the
    task becomes ready, from the recorded outcomes of other tasks.

    A task with ``settle`` is executed by nobody, and has no skill: what it comes to is voted, or chosen from what other
    tasks came to. These are its members: they name it in ``member_of``, and are stopped when it has ended. That a
    member fails does not count against its goal: its owner says what that means.
    """

    id: TaskId
    skill: str
    intent: str = ""
    title: str = ""
    inputs: dict[str, Any] = Field(default_factory=dict)
    workspace: str | None = Field(default=None, description="reference to the file tree it works on")
    writes: tuple[str, ...] | str = Field(
        default=(),
        description="files it means to change: patterns, `path::symbol` for a part; or a reference to a list",
    )
    on_conflict: OnConflict = "merge"
    needs: tuple[TaskId, ...] = ()
    barrier: Barrier | None = Field(default=None, description="begins without all of its needs; none: waits for all")
    expects: tuple[Expectation, ...] = ()
    goal: str = ROOT_GOAL
    priority: int = Field(default=5, ge=0, le=9, description="9 goes first")
    requires: dict[str, Value] = Field(
        default_factory=dict, description="labels of the worker, its host, the version of its agent"
    )
    prefer: Prefer | None = Field(default=None, description="among workers that could make it; the plan's if left out")
    timeout_s: float = Field(default=600.0, gt=0, description="how long one attempt may run")
    retry: RetryPolicy = RetryPolicy()
    recover: tuple[RecoveryRule, ...] = Field(default=(), description="the first rule that fits; else the mission's")
    smaller_step: tuple[TaskSpec, ...] = Field(
        default=(), description="what a template's planner answers to the rule smaller_step: tasks to do instead"
    )
    otherwise: tuple[TaskSpec, ...] = Field(
        default=(), description="what it answers where the intent cannot become an action: tasks to do instead"
    )
    hand_off: HandOffRule = HandOffRule()
    settle: Settling | None = None
    member_of: str = ""

    @field_validator("requires")
    @classmethod
    def _can_be_fulfilled(cls, value: dict[str, Value]) -> dict[str, Value]:
        try:
            check_requirements(value)
        except InvalidInput as error:
            raise ValueError(error.message) from error
        return value


class GoalSpec(Shape):
    """A part of the objective with an end of its own.

    An optional goal may fail without failing its parent. ``error_threshold`` is how many of the tasks and required
    goals directly below may fail before the goal is given up; what depends on a failed one is skipped and counts too.
    """

    id: str
    title: str = ""
    parent: str | None = ROOT_GOAL
    optional: bool = False
    error_threshold: int = Field(default=0, ge=0)
    deadline_s: float | None = Field(default=None, gt=0, description="counted from its first ready task")


class Group(Shape):
    """Tasks that unfold once for every item of a list that only becomes known while the mission runs.

    Each item gets a goal ``<id>.<item>`` below the goal ``<id>``, and its tasks are called ``<id>.<item>.<task>``.
    ``${<variable>}`` stands for the item. A task needs the group by its id: it then waits for all its branches to end.
    """

    id: TaskId
    title: str = ""
    variable: str = "item"
    items: str = Field(description="reference to the list")
    key: str = Field(default="id", description="field of an item that names its branch; its number where it has none")
    needs: tuple[TaskId, ...] = ()
    barrier: Barrier | None = Field(default=None, description="unfolds without all of its needs")
    goal: str = ROOT_GOAL
    optional_branches: bool = Field(default=False, description="a branch may fail without failing the mission")
    tasks: tuple[TaskSpec, ...]


class Plan(Shape):
    """The task graph of one mission."""

    goals: tuple[GoalSpec, ...] = ()
    tasks: tuple[TaskSpec, ...] = ()
    groups: tuple[Group, ...] = ()
    result: dict[str, Any] = Field(default_factory=dict, description="references that make the mission's result")
    deadline_s: float | None = Field(default=None, gt=0, description="counted from the submission")
    recover: tuple[RecoveryRule, ...] = Field(default=(), description="for tasks without a rule of their own that fits")
    safety: Safety = Safety()
    budget: Budget = Field(default=Budget(), description="what all attempts together may spend")
    prefer: Prefer | None = Field(default=None, description="for tasks without a preference of their own")
    strategy: Strategy | None = Field(default=None, description="which variant of its workflow this is, and why")
