"""JSON schemas of answers, written from the types that the code fills: shapes, domain values, journal events."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import fields

from engine_service.api.problems import Problem
from engine_service.api.schema_parts import Schema, component
from engine_service.api.shapes import SIGNED_PATTERN, BracketView, RecordedEvent
from engine_service.api.stream import Frame
from engine_service.api.views import UNTOLD
from engine_service.domain.fill import Fill
from engine_service.storage.codec import KINDS

#: Shapes of which not every field is always there.
_PARTLY: Final = (Problem, BracketView, Frame)
_FACTS: Final[tuple[type[msgspec.Struct], ...]] = (Fill, *KINDS.values())
_OPTIONAL: Final = {shape.__name__: shape.__optional_keys__ for shape in _PARTLY} | {
    kind.__name__: frozenset(field.name for field in fields(kind) if field.default is msgspec.UNSET) for kind in _FACTS
}


def reference(shape: Any) -> Schema:
    """Return the reference to a shape's schema."""
    return component(shape.__name__)


def components(shapes: Iterable[Any]) -> dict[str, Schema]:
    """Return the schema of every shape and of all they are made of, by name."""
    _, found = msgspec.json.schema_components([*shapes, *KINDS.values()], ref_template=component("{name}")["$ref"])
    for name, schema in found.items():
        _complete(schema, _OPTIONAL.get(name, frozenset()))
    for kind, names in UNTOLD.items():
        _leave_out(found[kind.__name__], names)
    return dict(sorted({**found, **_records(found[RecordedEvent.__name__])}.items()))


def _complete(schema: Schema, optional: frozenset[str]) -> None:
    """Say what the types leave unsaid: nothing else is there, and all of it always is."""
    if "description" in schema:
        schema["description"] = inspect.cleandoc(schema["description"]).replace("``", "`")
    _as_written(schema)
    if "properties" not in schema:
        return
    schema["additionalProperties"] = False
    schema["required"] = [name for name in schema["properties"] if name not in optional]
    for part in schema["properties"].values():
        part.pop("default", None)


def _as_written(part: Any) -> None:
    """Every word is text, and a decimal of the domain is written as plain text."""
    if isinstance(part, dict):
        if "enum" in part:
            part["type"] = "string"
        if part.get("format") == "decimal":
            part.update(pattern=SIGNED_PATTERN, description="Decimal text.")
            del part["format"]
        for inner in part.values():
            _as_written(inner)
    elif isinstance(part, list):
        for inner in part:
            _as_written(inner)


def _leave_out(schema: Schema, names: Iterable[str]) -> None:
    for name in names:
        del schema["properties"][name]
        schema["required"].remove(name)


def _records(general: Schema) -> dict[str, Schema]:
    """Return the record of each kind of event, and the choice among them in the place of the general one."""
    records: dict[str, Schema] = {}
    for kind in KINDS:
        properties = {
            **general["properties"],
            "kind": {"type": "string", "const": kind},
            "event": component(kind),
        }
        records[f"{kind}Record"] = {**general, "title": f"{kind}Record", "properties": properties}
    choices = {kind: component(f"{kind}Record") for kind in KINDS}
    choice = {
        "title": general["title"],
        "description": general["description"],
        "oneOf": list(choices.values()),
        "discriminator": {
            "propertyName": "kind",
            "mapping": {kind: choice["$ref"] for kind, choice in choices.items()},
        },
    }
    return {**records, general["title"]: choice}
