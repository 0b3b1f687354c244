"""The questions that processes of ours answer over NATS, for the AsyncAPI document: :mod:`events.services` says how."""

from __future__ import annotations

from projections.analytics.queries.port import Batch, Ending, Heading, Question
from projections.analytics.queries.service import SERVICE as ANALYTICS
from projections.hosting import ProjectionStatus, RebuildStep, RebuildWish
from projections.world.remote import SERVICE as WORLD
from projections.world.remote import Asked
from schemas.export.signals import ARCHIVE, ASKING, MSGPACK, READ_MODELS, Signal

_FOUND = {
    "type": "object",
    "required": ["position", "value"],
    "properties": {
        "position": {"type": "integer", "description": "the events of the log up to this sequence are in it"},
        "value": {"description": "what was asked for, with the names of its fields"},
    },
}


def questions() -> list[Signal]:
    """Those about read models; that about the backlog is with the other signals."""
    return [
        Signal(
            f"ask.{WORLD}",
            f"ask.{{tenant}}.{WORLD}",
            (Asked,),
            ASKING,
            (READ_MODELS,),
            "Asks what is known of missions, tasks, files, tests and agents.",
            answers=(_FOUND,),
            parts="pieces of one JSON text, of half a megabyte at most",
        ),
        Signal(
            f"ask.{ANALYTICS}",
            f"ask.{{tenant}}.{ANALYTICS}",
            (Question,),
            ASKING,
            (READ_MODELS,),
            "Asks a template, or SQL.",
            form=MSGPACK,
            answers=(Heading, Batch, Ending),
            parts="a heading, rows in batches, an ending",
        ),
        *(one for where in ("", ".{host}") for one in _of_read_models(where)),
    ]


def _of_read_models(where: str) -> list[Signal]:
    """``where``: empty for whichever process of the read model, or its host."""
    suffix = ".host" if where else ""
    hosts = (READ_MODELS, ARCHIVE)
    return [
        Signal(
            f"ask.status{suffix}",
            f"ask.{{tenant}}.{{model}}.status{where}",
            (),
            (READ_MODELS,) if where else (*ASKING, ARCHIVE),
            hosts,
            "Asks a read model how it does. The question is empty.",
            answers=(ProjectionStatus,),
            parts="one part",
        ),
        Signal(
            f"ask.rebuild{suffix}",
            f"ask.{{tenant}}.{{model}}.rebuild{where}",
            (RebuildWish,),
            (READ_MODELS,) if where else ASKING,
            hosts,
            "A read model shall be made anew from the log.",
            answers=(RebuildStep,),
            parts="steps as they come, the last one done",
        ),
    ]
