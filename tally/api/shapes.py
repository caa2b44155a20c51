"""What the schemas of the OpenAPI document are made of."""

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}


def reference(kind: str, name: str) -> Schema:
    """Return a reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def array_of(items: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def map_of(values: Schema, *, keys: str = "") -> Schema:
    """Return the schema of an object with any keys, or with times."""
    names = {"propertyNames": {"pattern": "^[0-9]+$"}} if keys == "time" else {}
    return {"type": "object", **names, "additionalProperties": values}


def object_of(properties: dict[str, Schema], *, required: Iterable[str] | None = None) -> Schema:
    """Return the schema of an object with these properties, all of them required by default, and no others."""
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}
