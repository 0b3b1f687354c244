"""JSON Schemas and an AsyncAPI document, generated from the shapes, so that any NATS client can take part."""

from schemas.export.asyncapi_document import asyncapi
from schemas.export.documents import json_schemas
from schemas.export.writing import write_all

__all__ = ["asyncapi", "json_schemas", "write_all"]
