"""The exported files: the same bytes each time, readable by others, open to schemas of other rooms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from schemas.errors import InvalidInput
from schemas.export import asyncapi, json_schemas, write_all


def test_files_are_the_same_each_time_and_say_what_the_functions_say(tmp_path: Path) -> None:
    schemas = json_schemas()
    first, second = write_all(tmp_path / "a"), write_all(tmp_path / "b")
    assert [path.name for path in first] == sorted([*schemas, "asyncapi.yaml"])
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    for path in first:
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if path.suffix == ".json":
            assert json.loads(text) == schemas[path.name]
        else:
            assert yaml.safe_load(text) == json.loads(json.dumps(asyncapi()))


def test_yaml_has_no_anchors(tmp_path: Path) -> None:
    write_all(tmp_path)
    events = yaml.parse((tmp_path / "asyncapi.yaml").read_text(encoding="utf-8"))
    assert [event for event in events if isinstance(event, yaml.AliasEvent)] == []


def test_other_rooms_add_their_schemas(tmp_path: Path) -> None:
    written = write_all(tmp_path, {"workflow.schema.json": {"$id": "urn:stigmergy:workflow:1"}})
    assert tmp_path / "workflow.schema.json" in written
    with pytest.raises(InvalidInput, match=r"envelope\.schema\.json"):
        write_all(tmp_path, {"envelope.schema.json": {}})
