"""JSON Schemas out of marshmallow's: what may be sent, as the documents tell it."""

from __future__ import annotations

from typing import Any, cast

from marshmallow import fields

from api.mergent.schemas import Strict

Shape = dict[str, Any]


def ref(name: str) -> Shape:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def sent(schema: type[Strict], *, partial: bool = False) -> dict[str, Shape]:
    """The component of a schema and those it needs, by name; `partial` is that of a change."""
    found: dict[str, Shape] = {}
    _component(schema, partial, found)
    return found


def name_of(schema: type[Strict], *, partial: bool = False) -> str:
    """What the component of a schema is called."""
    return schema.__name__.removesuffix("Schema") + ("Changes" if partial else "Input")


def _component(schema: type[Strict], partial: bool, found: dict[str, Shape]) -> str:
    name = name_of(schema, partial=partial)
    if name in found:
        return name
    shape: Shape = {"type": "object", "description": _first(schema.__doc__)}
    found[name] = shape
    declared = schema._declared_fields
    shape["properties"] = {key: _property(field, partial, found) for key, field in declared.items()}
    needed = [key for key, field in declared.items() if field.required]
    if needed and not partial:
        shape["required"] = needed
    shape["additionalProperties"] = False
    return name


def _property(field: fields.Field[Any], partial: bool, found: dict[str, Shape]) -> Shape:
    if not isinstance(field, fields.Nested):
        return dict(field.metadata)
    name = _component(cast(type[Strict], field.nested), partial, found)
    about = field.metadata["description"]
    if field.allow_none:
        return {"oneOf": [ref(name), {"type": "null"}], "description": about}
    return {**ref(name), "description": about}


def parameters(schema: type[Strict]) -> list[Shape]:
    """A schema of query parameters, as parameters."""
    declared = schema._declared_fields
    return [query(key, **field.metadata) for key, field in declared.items()]


def query(name: str, description: str, **shape: Any) -> Shape:
    """One query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": shape}


def thing(about: str, **properties: Shape) -> Shape:
    """An object in an answer: every property is always there, and there are no others."""
    return {
        "type": "object",
        "description": about,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def some(about: str, required: tuple[str, ...] = (), **properties: Shape) -> Shape:
    """An object some of whose properties may be absent."""
    shape = thing(about, **properties) | {"required": list(required)}
    if not required:
        del shape["required"]
    return shape


def text(about: str = "", **more: Any) -> Shape:
    """A string."""
    return _told({"type": "string", **more}, about)


def maybe(shape: Shape) -> Shape:
    """The same or null."""
    if "$ref" in shape:
        about = {k: v for k, v in shape.items() if k != "$ref"}
        return {"oneOf": [{"$ref": shape["$ref"]}, {"type": "null"}], **about}
    made = {**shape, "type": [shape["type"], "null"]}
    if "enum" in made:
        made["enum"] = [*made["enum"], None]
    return made


def instant(about: str = "") -> Shape:
    """An instant, as the Mergent dialect writes it."""
    return text(about, format="date-time", examples=["2026-05-26T12:00:00.000Z"])


def uuid(about: str = "") -> Shape:
    """An id."""
    return text(about, format="uuid")


def whole(about: str = "", **more: Any) -> Shape:
    """A whole number."""
    return _told({"type": "integer", **more}, about)


def number(about: str = "", **more: Any) -> Shape:
    """A number."""
    return _told({"type": "number", **more}, about)


def flag(about: str = "") -> Shape:
    """True or false."""
    return _told({"type": "boolean"}, about)


def many(shape: Shape, about: str = "", **more: Any) -> Shape:
    """A list."""
    return _told({"type": "array", "items": shape, **more}, about)


def free(about: str = "") -> Shape:
    """Any object."""
    return _told({"type": "object"}, about)


def _told(shape: Shape, about: str) -> Shape:
    return {**shape, "description": about} if about else shape


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())
