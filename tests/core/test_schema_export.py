"""The exported schemas say what the code does: what the code writes fits, what the code refuses does not."""

from __future__ import annotations

import copy
import json
import re
import types
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from events.codec import encode, frames
from schemas import subjects
from schemas.attempts import AttemptOrder
from schemas.commands import CommandReply, command_json, parse_command
from schemas.envelope import Event, rfc3339
from schemas.errors import InvalidCommand, InvalidIdentifier, InvalidInput
from schemas.events import payload_types
from schemas.events.base import Payload
from schemas.export import asyncapi, json_schemas
from schemas.export.channels import PARAMETERS, REPLY
from schemas.export.documents import command_types, put_beside
from schemas.export.envelopes import RULES
from schemas.export.shapes import nodes
from schemas.export.signals import signals
from schemas.headers import ANSWER_TO
from schemas.ids import token, uuid7
from schemas.ownership import OWNERS, UNFRAMED
from stigmergy.questions import questions

TYPES = payload_types()
COMMANDS = command_types()
SCHEMAS = json_schemas()
SIGNALS = [*signals(), *questions()]
DOCUMENT = json.loads(json.dumps(asyncapi(questions())))
NOUNS = sorted({name.partition(".")[0] for name in TYPES})


# Samples: one value for each kind of field, so that a new type is sampled without a line here.


def value_of(kind: Any, inside: tuple[Any, ...] = ()) -> Any:
    """A value of a field's type: full, never null, sequences with one element; none where a shape holds itself."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return value_of(arguments[0], inside)
    if origin in (Union, types.UnionType):
        return value_of(next(one for one in arguments if one is not types.NoneType), inside)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return () if arguments[0] in inside else (value_of(arguments[0], inside),)
    if origin is dict:
        return {"key": value_of(arguments[1], inside)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return sample(kind, inside=(*inside, kind))
    simple = {str: "x1", int: 1, float: 1.0, bool: True, datetime: datetime(2026, 1, 31, tzinfo=UTC), Any: "anything"}
    return simple[kind]


def typed_value(field: FieldInfo, inside: tuple[Any, ...] = ()) -> Any:
    return value_of(field.annotation, inside)


def sample[Model: BaseModel](kind: type[Model], *, full: bool = True, inside: tuple[Any, ...] = ()) -> Model:
    """An instance with every field set, or with the mandatory ones only."""
    fields = kind.model_fields.items()
    return kind.model_validate(
        {name: typed_value(field, inside) for name, field in fields if full or field.is_required()}
    )


def event_of(payload: Payload) -> Event:
    return Event(
        id=uuid7(),
        source="/worker/host-1",
        type=payload.TYPE,
        time=rfc3339(datetime(2026, 1, 31, tzinfo=UTC)),
        tenant="acme",
        mission="m1",
        subject=payload.about(),
        dataversion=payload.VERSION,
        causationid=uuid7(),
        correlationid=uuid7(),
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        data=msgspec.Raw(payload.model_dump_json().encode()),
    )


def wire(payload: Payload) -> dict[str, Any]:
    """An event as a client of another language writes it, with all that CloudEvents asks for."""
    return {"specversion": "1.0", **json.loads(msgspec.json.encode(event_of(payload)))}


def accepts(schema: dict[str, Any], value: object) -> bool:
    return bool(Draft202012Validator(schema).is_valid(value))


def accepts_in_document(reference: str, value: object) -> bool:
    """Whether a schema of the AsyncAPI document takes the value, read as draft 7, which is AsyncAPI's own."""
    return bool(Draft7Validator({**DOCUMENT, "allOf": [{"$ref": reference}]}).is_valid(value))


@pytest.fixture(params=sorted(TYPES))
def kind(request: pytest.FixtureRequest) -> type[Payload]:
    return TYPES[request.param]


@pytest.fixture(params=sorted(COMMANDS))
def command(request: pytest.FixtureRequest) -> type[BaseModel]:
    return COMMANDS[request.param]


# JSON Schemas


def test_every_shape_has_a_schema_with_an_id_of_its_own() -> None:
    events = {f"event.{name}.schema.json" for name in TYPES}
    commands = {f"command.{verb}.schema.json" for verb in COMMANDS}
    others = {"envelope.schema.json", "command-reply.schema.json", "attempt-order.schema.json"}
    assert set(SCHEMAS) == events | commands | others
    assert len({schema["$id"] for schema in SCHEMAS.values()}) == len(SCHEMAS)
    assert all(schema["$id"].startswith("urn:stigmergy:") for schema in SCHEMAS.values())


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one_and_stands_alone(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        if isinstance(node.get("$ref"), str):
            assert resolve(schema, node["$ref"]) is not None


@pytest.mark.parametrize("full", [True, False])
def test_samples_of_every_type_fit_their_schema(kind: type[Payload], full: bool) -> None:
    schema, value = SCHEMAS[f"event.{kind.TYPE}.schema.json"], wire(sample(kind, full=full))
    Draft202012Validator(schema).validate(value)
    Draft202012Validator(SCHEMAS["envelope.schema.json"]).validate(value)
    assert accepts_in_document(f"#/components/schemas/event.{kind.TYPE}", value)


def test_what_the_codec_writes_fits_the_schema() -> None:
    for name, kind in TYPES.items():
        raw, _ = encode([event_of(sample(kind))])
        Draft202012Validator(SCHEMAS[f"event.{name}.schema.json"]).validate(json.loads(raw))


def test_what_does_not_belong_is_refused(kind: type[Payload]) -> None:
    good = wire(sample(kind))
    other = next(name for name in TYPES if name != kind.TYPE)
    wrong: list[dict[str, Any]] = [
        good | {"type": other},
        good | {"data": good["data"] | {"no_such_field": 1}},
        good | {"data": []},
        good | {"dataversion": kind.VERSION + 1},
        good | {"id": "42"},
        good | {"time": "yesterday"},
        good | {"tenant": "a.b"},
        good | {"specversion": "0.3"},
        good | {"Upper": "case"},
        good | {"extension": {"nested": True}},
        *({k: v for k, v in good.items() if k != name} for name in ("id", "source", "time", "type", "tenant")),
        {k: v for k, v in good.items() if k != "specversion"},
    ]
    for field in (name for name, field in kind.model_fields.items() if field.is_required()):
        wrong.append(good | {"data": {k: v for k, v in good["data"].items() if k != field}})
        wrong.append({k: v for k, v in good.items() if k != "data"})
    for value in wrong:
        assert not accepts(SCHEMAS[f"event.{kind.TYPE}.schema.json"], value), value
        assert not accepts_in_document(f"#/components/schemas/event.{kind.TYPE}", value), value


def test_a_payload_at_the_blob_store_is_not_asked_for_twice(kind: type[Payload]) -> None:
    schema, good = SCHEMAS[f"event.{kind.TYPE}.schema.json"], wire(sample(kind))
    assert accepts(schema, good | {"data": {}, "dataref": "0" * 64})
    assert accepts(schema, good | {"dataref": "0" * 64}) is (good["data"] == {})


def test_cloudevents_extensions_are_allowed() -> None:
    good = wire(sample(TYPES["task.ready"]))
    assert accepts(SCHEMAS["event.task.ready.schema.json"], good | {"partitionkey": "7", "sampled": True})


@pytest.mark.parametrize(
    "name", ["acme", "a:b@c~d-e_f", "9", "x" * 128, "x" * 129, "", "a.b", "a b", "*", ">", "_", "-a"]
)
def test_schema_and_code_agree_on_names(name: str) -> None:
    try:
        allowed = bool(token(name))
    except InvalidIdentifier:
        allowed = False
    value = wire(sample(TYPES["task.ready"])) | {"tenant": name}
    assert accepts(SCHEMAS["envelope.schema.json"], value) is allowed


def test_the_envelope_has_exactly_the_attributes_of_the_code() -> None:
    properties = SCHEMAS["envelope.schema.json"]["properties"]
    assert set(properties) == set(Event.__struct_fields__)
    assert set(RULES) <= set(properties)
    assert [name for name, schema in properties.items() if not schema.get("description")] == []


@pytest.mark.parametrize("full", [True, False])
def test_commands_fit_their_schema_and_the_parser(command: type[BaseModel], full: bool) -> None:
    verb = command.model_fields["verb"].default
    value = {"verb": verb, **json.loads(sample(command, full=full).model_dump_json())}
    Draft202012Validator(SCHEMAS[f"command.{verb}.schema.json"]).validate(value)
    assert type(parse_command(json.dumps(value).encode())) is command


@pytest.mark.parametrize("full", [True, False])
def test_commands_are_the_same_after_their_way(command: type[BaseModel], full: bool) -> None:
    sent = sample(command, full=full)
    raw = command_json(sent)  # type: ignore[arg-type]
    Draft202012Validator(SCHEMAS[f"command.{command.model_fields['verb'].default}.schema.json"]).validate(
        json.loads(raw)
    )
    assert parse_command(raw) == sent


def test_wrong_commands_are_refused_by_schema_and_parser(command: type[BaseModel]) -> None:
    verb = command.model_fields["verb"].default
    good = json.loads(sample(command).model_dump_json())
    without_verb = {k: v for k, v in good.items() if k != "verb"}
    for value in (without_verb, good | {"verb": "dance"}, good | {"id": "a b"}, good | {"other": 1}):
        assert not accepts(SCHEMAS[f"command.{verb}.schema.json"], value)
        assert not accepts_in_document(f"#/components/messages/commands.{verb}/payload", value)
        with pytest.raises(InvalidCommand):
            parse_command(json.dumps(value).encode())


def test_orders_and_replies() -> None:
    order = json.loads(sample(AttemptOrder).model_dump_json())
    assert accepts(SCHEMAS["attempt-order.schema.json"], order)
    assert not accepts(SCHEMAS["attempt-order.schema.json"], order | {"attempt": 0})
    untagged = order | {"expects": [{"patterns": ["*.py"]}]}
    assert not accepts(SCHEMAS["attempt-order.schema.json"], untagged), "an expectation says its kind"
    assert accepts(SCHEMAS["command-reply.schema.json"], json.loads(CommandReply(accepted=True).model_dump_json()))
    assert not accepts(SCHEMAS["command-reply.schema.json"], {"reason": "no word on acceptance"})


def test_two_schemas_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two schemas are called 'Plan'"):
        put_beside({"Plan": {}}, "Plan", {})


# The AsyncAPI document


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a reference of a document points at. Fails with KeyError if it points at nothing."""
    assert reference.startswith("#/"), f"{reference} leaves the document"
    found: Any = document
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_the_document_has_the_parts_that_asyncapi_3_asks_for() -> None:
    known = {"asyncapi", "id", "info", "defaultContentType", "servers", "channels", "operations", "components"}
    assert set(DOCUMENT) == known
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert all({"host", "protocol"} <= set(server) for server in DOCUMENT["servers"].values())
    for group in DOCUMENT["components"].values():
        assert [name for name in group if not re.fullmatch(r"[\w.-]+", name)] == []


def test_every_reference_resolves() -> None:
    references = [node["$ref"] for node in nodes(DOCUMENT) if isinstance(node.get("$ref"), str)]
    assert len(references) > 300
    for reference in references:
        assert resolve(DOCUMENT, reference) is not None


def test_a_reference_to_nothing_is_noticed() -> None:
    broken = copy.deepcopy(DOCUMENT)
    del broken["components"]["messages"]["task.ready"]
    with pytest.raises(KeyError):
        resolve(broken, broken["channels"]["task.ready"]["messages"]["task.ready"]["$ref"])


def test_channels_have_messages_and_the_parameters_of_their_address() -> None:
    keys = {"address", "description", "servers", "messages", "parameters"}
    for name, channel in DOCUMENT["channels"].items():
        assert set(channel) <= keys, name
        assert channel["messages"], name
        expected = set(re.findall(r"{(\w+)}", channel["address"] or ""))
        assert set(channel.get("parameters", {})) == expected, name
        assert expected <= set(PARAMETERS), name


def test_addresses_are_the_subjects_of_the_code(kind: type[Payload]) -> None:
    payload = sample(kind)
    key = payload.key()
    address = DOCUMENT["channels"][kind.TYPE]["address"]
    filled = address.format(tenant="acme", mission="m1", key=key)
    assert filled == subjects.of_event(event_of(payload), key)
    assert kind.KEYED is (key is not None)


def test_addresses_of_frames_and_commands_are_the_subjects_of_the_code() -> None:
    for noun in set(NOUNS) - UNFRAMED:
        address = DOCUMENT["channels"][f"{noun}._"]["address"]
        assert address.format(tenant="acme", mission="m1") == subjects.of_frame("acme", "m1", noun)
    for verb in COMMANDS:
        address = DOCUMENT["channels"][f"commands.{verb}"]["address"]
        assert address.format(tenant="acme") == subjects.of_command("acme", verb)


def test_channels_are_exactly_those_of_the_types_nouns_and_commands() -> None:
    frame_channels = {f"{noun}._" for noun in set(NOUNS) - UNFRAMED}
    commands = {f"commands.{v}" for v in COMMANDS} | {REPLY}
    beside = {one.name for one in SIGNALS} | {f"{one.name}.answer" for one in SIGNALS if one.answers is not None}
    assert set(DOCUMENT["channels"]) == set(TYPES) | frame_channels | commands | beside
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values() if channel["address"]]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("noun", NOUNS)
def test_nouns_without_frames_are_those_that_the_codec_never_frames(noun: str) -> None:
    kind = next(kind for name, kind in TYPES.items() if name.startswith(f"{noun}."))
    event = event_of(sample(kind))
    assert len(frames([event, event])) == (2 if noun in UNFRAMED else 1)


def test_a_frame_is_an_array_of_events_of_its_noun() -> None:
    payload = "#/components/messages/task._/payload"
    ready, skipped = wire(sample(TYPES["task.ready"])), wire(sample(TYPES["task.skipped"]))
    assert accepts_in_document(payload, [ready, skipped])
    assert not accepts_in_document(payload, ready)
    assert not accepts_in_document(payload, [])
    assert not accepts_in_document(payload, [ready, wire(sample(TYPES["goal.achieved"]))])
    assert DOCUMENT["components"]["messages"]["task._"]["contentType"] == "application/cloudevents-batch+json"


def test_operations_use_messages_of_existing_channels() -> None:
    for name, operation in DOCUMENT["operations"].items():
        for part in (operation, operation.get("reply", operation)):
            channel = part["channel"]["$ref"]
            assert re.fullmatch(r"#/channels/[\w.-]+", channel), name
            assert resolve(DOCUMENT, channel), name
            for message in part["messages"]:
                assert message["$ref"].startswith(f"{channel}/messages/"), name
                assert resolve(DOCUMENT, message["$ref"]), name


def test_events_and_commands_have_one_sender_and_it_is_the_owner() -> None:
    senders: dict[str, list[str]] = {}
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        if operation["action"] == "send":
            role = operation["tags"][0]["name"]
            senders.setdefault(operation["channel"]["$ref"].removeprefix("#/channels/"), []).append(role)
    assert set(senders) == {name for name, channel in DOCUMENT["channels"].items() if channel["address"]}
    signals_ = {one.name: one for one in SIGNALS}
    for channel, roles in senders.items():
        if channel in signals_:
            assert sorted(roles) == sorted(signals_[channel].senders), channel
            continue
        noun = channel.partition(".")[0]
        assert roles == (["client"] if noun == "commands" else [OWNERS[noun]]), channel


def test_commands_are_answered_on_both_sides() -> None:
    for verb in COMMANDS:
        for operation in (f"client.send.commands.{verb}", f"orchestrator.receive.commands.{verb}"):
            reply = DOCUMENT["operations"][operation]["reply"]
            assert reply["channel"] == {"$ref": f"#/channels/{REPLY}"}
            assert reply["address"]["location"] == f"$message.header#/{ANSWER_TO}"
        headers = DOCUMENT["components"]["messages"][f"commands.{verb}"]["headers"]
        assert ANSWER_TO in headers["properties"]
    # What senders and the command bus agree on, by itself: it is part of the protocol.
    assert ANSWER_TO == "Stigmergy-Answer-To"


def test_schemas_of_the_document_are_valid_draft_7_without_keywords_it_lacks() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        for node in nodes(schema):
            assert not {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired"} & set(node), name
