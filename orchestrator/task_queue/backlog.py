"""Counting what waits and what runs, for each skill. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.task_queue.floor import Floor, Stage
from orchestrator.task_queue.sightings import Sightings
from orchestrator.task_queue.situation import Situation
from schemas.backlog import SkillBacklog


def backlog(floors: Iterable[Floor], situation: Situation, sightings: Sightings) -> list[SkillBacklog]:
    """What waits and runs in these missions, by skill; skills that are only on offer are there with zeros."""
    ready: dict[str, int] = {}
    queued: dict[str, int] = {}
    running: dict[str, int] = {}
    oldest: dict[str, float] = {}
    missions: dict[str, set[str]] = {}
    for floor in floors:
        for opened in floor.attempts.values():
            skill = opened.ready.skill
            missions.setdefault(skill, set()).add(floor.mission)
            if opened.stage in (Stage.GIVEN, Stage.STARTED):
                running[skill] = running.get(skill, 0) + 1
            elif opened.stage in (Stage.READY, Stage.DISPATCHED):
                counts = ready if opened.stage is Stage.READY else queued
                counts[skill] = counts.get(skill, 0) + 1
                oldest[skill] = max(oldest.get(skill, 0.0), sightings.age_s(floor, opened))
    return [
        SkillBacklog(
            skill,
            ready.get(skill, 0),
            queued.get(skill, 0),
            running.get(skill, 0),
            round(oldest.get(skill, 0.0), 3),
            len(missions.get(skill, ())),
            len(situation.offering(skill)),
        )
        for skill in sorted({*missions, *situation.skills()})
    ]
