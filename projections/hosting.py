"""Hosting a read model: keep it running, say how it does, and have it made anew while it is used.

Two questions are answered for each, over ``events.services``: ``<name>.status`` with one :class:`ProjectionStatus`, and
``<name>.rebuild`` with a :class:`RebuildStep` every half second until it has switched. A rebuild belongs to the process
that hosts the model: whoever asked for it may leave, and it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Literal

import msgspec

from events.port import Log
from events.services import Answer, Services
from projections.port import Projection, StandsBy
from schemas.errors import InvalidInput, Refused, StigmergyError, TimedOut, Unavailable

_log = logging.getLogger(__name__)
_SAMPLE_S = 2.0
_SAMPLES = 6
_TELL_S = 0.5
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0

State = Literal["starting", "following", "rebuilding", "failed"]


class ProjectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a read model does.

    Attributes:
        host: the process that hosts it, as ``schemas.ids.process_name`` gives it.
        position, log_end: the sequence up to which the log is in the store, and the log's newest.
        rate: sequences a second, over the last ten seconds or so.
        rebuilt, goal: while it is made anew, the sequence reached and the one to be reached.
        error, hint: what went wrong last, and has not gone well since.
    """

    name: str
    host: str
    state: State
    position: int
    log_end: int
    rate: float = 0.0
    rebuilt: int = 0
    goal: int = 0
    error: str = ""
    hint: str = ""

    @property
    def lag(self) -> int:
        """Messages of the log that are not in the store yet."""
        return max(0, self.log_end - self.position)


class RebuildWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The question to ``<name>.rebuild``. ``to``: the sequence to stop at; None for the end of the log."""

    to: int | None = None


class RebuildStep(msgspec.Struct, frozen=True):
    """How far a rebuild is. ``done``: it has switched, and ``position`` is where the model stands."""

    position: int
    goal: int
    done: bool = False


class Hosted:
    """One read model in this process.

    Args:
        name: of the read model.
        make: makes it; may raise what the process lacks for it.
        host: the name of this process.
        alone: an error that ends it ends the process, so that whoever supervises the process hears of it. Else the
            other roles of the process go on, and it is tried again after a pause.
    """

    def __init__(
        self, name: str, make: Callable[[], Projection], log: Log, services: Services, *, host: str, alone: bool
    ) -> None:
        self._name, self._make, self._log, self._services = name, make, log, services
        self._host, self._alone = host, alone
        self._projection: Projection | None = None
        self._up = asyncio.Event()
        self._error: BaseException | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
        self._rebuilding: asyncio.Task[int] | None = None
        self._progress = (0, 0)

    async def run(self, ready: asyncio.Event) -> None:
        """Host it for ever. ``ready`` is set when it follows, or has failed while others share the process."""
        for what, answer in (("status", self._answer_status), ("rebuild", self._answer_rebuild)):
            await self._services.serve(f"{self._name}.{what}", partial(self._by_the_leader, what, answer))
            await self._services.serve(f"{self._name}.{what}.{self._host}", answer)
        self._up = ready
        sampling = asyncio.create_task(self._sample())
        pause = _PAUSE_S
        try:
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    self._projection = self._projection or self._make()
                    if isinstance(self._projection, StandsBy):
                        self._projection.hosted_by(self._host)
                    await self._projection.run(ready)
                except Exception as error:  # noqa: BLE001 - whatever it is must not end the other roles of the process
                    self._failed(cause_of(error))
                lived = asyncio.get_running_loop().time() - began
                pause = _PAUSE_S if lived > _LONGEST_PAUSE_S else min(pause * 2, _LONGEST_PAUSE_S)
                ready.set()
                await asyncio.sleep(pause)
                self._error = None
        finally:
            tasks = [task for task in (sampling, self._rebuilding) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _failed(self, error: BaseException) -> None:
        self._error = error
        if self._alone:
            raise error
        if isinstance(error, StigmergyError):
            _log.error("%s stands still: %s (%s)", self._name, error.message, error.hint)
        else:
            _log.error("%s stands still because of a flaw of ours", self._name, exc_info=error)

    async def _sample(self) -> None:
        while True:
            if self._projection is not None:
                with suppress(StigmergyError):
                    place = await self._projection.position()
                    self._samples.append((asyncio.get_running_loop().time(), place))
            await asyncio.sleep(_SAMPLE_S)

    # how it does

    async def status(self) -> ProjectionStatus:
        """Raises what the store and the log raise when they do not answer."""
        error: BaseException | None = self._error
        trouble = getattr(self._projection, "trouble", "")  # what a model that waits by itself waits for
        position = self._samples[-1][1] if self._samples else 0
        try:
            position = await self._projection.position() if self._projection is not None else 0
        except StigmergyError as away:  # its store does not answer; the last word is better than none
            error = error or away
        rebuilt, goal = self._progress if self._is_rebuilding() else (0, 0)
        return ProjectionStatus(
            name=self._name,
            host=self._host,
            state=self._state(),
            position=position,
            log_end=await self._log.last_sequence(),
            rate=self._rate(),
            rebuilt=rebuilt,
            goal=goal,
            error=(getattr(error, "message", None) or str(error)) if error is not None else trouble,
            hint=getattr(error, "hint", "its log says more" if error is not None else ""),
        )

    def _state(self) -> State:
        if self._is_rebuilding():
            return "rebuilding"
        if self._error is not None:
            return "failed"
        return "following" if self._up.is_set() else "starting"

    def _is_rebuilding(self) -> bool:
        return self._rebuilding is not None and not self._rebuilding.done()

    def _rate(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) / (ended - began)) if ended > began else 0.0

    async def _by_the_leader(self, what: str, answer: Answer, tenant: str, question: bytes) -> AsyncIterator[bytes]:
        """Have the process answer that writes the model, where several stand by: only it knows of its rebuild.

        It is asked by its name. If it does not answer, as when it has just died, this one does.
        """
        leader = await self._leader()
        if leader not in ("", self._host):
            parts = 0
            try:
                async for part in self._services.ask(tenant, f"{self._name}.{what}.{leader}", question):
                    parts += 1
                    yield part
            except (Unavailable, TimedOut) as away:
                if parts:
                    raise
                _log.info("%s of %s is answered by a standby: %s", what, self._name, away)
            else:
                return
        async for part in answer(tenant, question):
            yield part

    async def _leader(self) -> str:
        """The process that writes the model; empty if there is no such thing, or nobody knows."""
        try:
            return await self._projection.leader() if isinstance(self._projection, StandsBy) else ""
        except StigmergyError:
            return ""  # its store does not answer: this one says so

    async def _answer_status(self, _tenant: str, _question: bytes) -> AsyncIterator[bytes]:
        yield msgspec.json.encode(await self.status())

    # making it anew

    async def _answer_rebuild(self, _tenant: str, question: bytes) -> AsyncIterator[bytes]:
        try:
            wish = msgspec.json.decode(question or b"{}", type=RebuildWish)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"this is no wish to rebuild: {error}") from error
        task = await self._begin(wish.to)
        while not task.done():
            await asyncio.wait({task}, timeout=_TELL_S)
            if not task.done():
                yield msgspec.json.encode(RebuildStep(*self._progress))
        position = task.result()
        yield msgspec.json.encode(RebuildStep(position, position, done=True))

    async def _begin(self, to: int | None) -> asyncio.Task[int]:
        if self._is_rebuilding():
            done, goal = self._progress
            raise Refused(f"{self._name} is being rebuilt already: {done:,} of {goal:,}", hint="wait until it is done")
        if self._projection is None:
            raise Refused(f"{self._name} could not be started: {self._error}", hint="stig projections list")
        end = await self._log.last_sequence()
        if to is not None and not 0 <= to <= end:
            raise InvalidInput(f"the log goes from 1 to {end:,}, and not to {to:,}", hint="leave --to out for its end")
        self._progress = (0, end if to is None else to)
        self._rebuilding = asyncio.create_task(self._rebuild(self._projection, to))
        return self._rebuilding

    async def _rebuild(self, projection: Projection, to: int | None) -> int:
        def progress(position: int, goal: int) -> None:
            self._progress = (position, goal)

        _log.info("%s is being rebuilt%s", self._name, "" if to is None else f", to {to}")
        try:
            position = await projection.rebuild(to, progress)
        except StigmergyError as error:
            _log.error("%s was not rebuilt: %s (%s)", self._name, error.message, error.hint)
            raise
        _log.info("%s was rebuilt, and stands at %d", self._name, position)
        return position


def cause_of(error: BaseException) -> BaseException:
    """What ended a role, unpacked: a task group wraps it, and whoever reads the log wants the cause."""
    while isinstance(error, BaseExceptionGroup):
        error = next((e for e in error.exceptions if isinstance(e, StigmergyError)), error.exceptions[0])
    return error
