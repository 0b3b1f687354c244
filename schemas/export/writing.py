"""All documents as files, byte for byte the same whenever the shapes are."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ruamel.yaml import YAML

from schemas.errors import InvalidInput
from schemas.export.asyncapi_document import asyncapi
from schemas.export.documents import json_schemas
from schemas.export.shapes import Schema
from schemas.export.signals import Signal

ASYNCAPI_FILE = "asyncapi.yaml"


def write_all(folder: Path, also: Mapping[str, Schema] | None = None, signals: Sequence[Signal] = ()) -> list[Path]:
    """Write every schema and the AsyncAPI document into ``folder``, which is made if it is missing.

    Args:
        also: further schemas by file name, from rooms that this one may not import.
        signals: what travels besides, from such rooms, for the AsyncAPI document.

    Returns the paths in alphabetical order. Other files in the folder are left alone. Raises :class:`InvalidInput` if
    a further schema has the name of one of ours.
    """
    documents = json_schemas()
    for name, schema in (also or {}).items():
        if name in documents or name == ASYNCAPI_FILE:
            raise InvalidInput(f"a schema file {name!r} exists already", hint="give the further schema its own name")
        documents[name] = schema
    texts = {name: _as_json(schema) for name, schema in documents.items()} | {
        ASYNCAPI_FILE: _as_yaml(asyncapi(signals))
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in sorted(texts)]


def _as_json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _as_yaml(document: Schema) -> str:
    # Through JSON and back: no object is shared afterwards, so no anchors are written, and tuples are lists. The order
    # of keys is kept, because people read an AsyncAPI document from its top.
    plain = json.loads(json.dumps(document))
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(plain, stream)
    return stream.getvalue()
