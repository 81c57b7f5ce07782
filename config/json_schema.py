"""The schema as JSON Schema (draft 2020-12), for editors that complete and check config.yaml while it is written.

It is a little more lenient than the compiler: what concerns several keys at once is left to ``main.py validate``.
"""

from __future__ import annotations

from config.schema import CONFIGURATION, sections
from config.shapes import Key, ListOf, MapOf, Scalar, Section, Shape, TextMap, Variants

Schema = dict[str, object]

_NOTHING: Schema = {"type": "null"}


def json_schema() -> Schema:
    """The whole as one JSON Schema document."""
    definitions = {section.title: _section(section) for section in sections()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Holdfast: config.yaml",
        "description": "Generated from the schema of the config compiler by `main.py schema`.",
        **_reference(CONFIGURATION),
        "$defs": definitions,
    }


def _section(section: Section) -> Schema:
    schema: Schema = {
        "description": section.doc,
        "type": "object",
        "properties": {spelling: _key(key, spelling) for key in section.keys for spelling in key.spellings},
        "additionalProperties": False,
    }
    if section is CONFIGURATION:
        schema["required"] = [key.name for key in section.keys if key.required]
    return schema


def _key(key: Key, spelling: str) -> Schema:
    if spelling == key.file_key:
        return {"description": f"The file that holds {key.name}.", "type": ["string", "null"]}
    described: Schema = {"description": key.doc + (f" Without it: {key.default}." if key.default else "")}
    return described | {"anyOf": [_shape(key.shape), _NOTHING]}


def _shape(shape: Shape) -> Schema:
    if isinstance(shape, Scalar):
        return dict(shape.json_schema)
    if isinstance(shape, ListOf):
        return {"anyOf": [dict(shape.item.json_schema), {"type": "array", "items": dict(shape.item.json_schema)}]}
    if isinstance(shape, TextMap):
        names = dict(shape.name.json_schema)
        value = {"anyOf": [dict(shape.item.json_schema), _NOTHING]}
        return {"type": "object", "propertyNames": names, "additionalProperties": value}
    one = _reference(shape.section)
    if isinstance(shape, MapOf):
        return one
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _reference(section: Section | Variants) -> Schema:
    if isinstance(section, Section):
        return {"$ref": f"#/$defs/{_pointer(section.title)}"}
    return {"anyOf": [_reference(variant) for variant in section.sections.values()]}


def _pointer(title: str) -> str:
    """A title as part of a JSON pointer in a URI fragment (RFC 6901, section 6)."""
    return title.replace(" ", "%20")
