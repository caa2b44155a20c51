"""Generates the reference of the HTTP API from the document at `/openapi.json`.

Each operation has a section with its parameters, body and responses; each schema has one with its properties. Schemas
are described in words: "integer of at least 1", "list of string", or a link to a named schema.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tally.api.message import PROBLEM
from tally.api.openapi import document
from tally.api.routes import ROUTES

Schema = dict[str, Any]

INTRODUCTION = """\
# HTTP reference

This page is generated from `/openapi.json`, which programs can read. [The HTTP API](http.md) explains the API with
examples. Unless the tables say otherwise, an error is a [`Problem`](#problem).
"""
TYPES = {"null": "`null`"}
# Above this, floats cannot represent all integers.
WHOLE_MAX = 2**53


def page() -> str:
    """Return the page as Markdown."""
    described = document(ROUTES, root="", guarded=True)
    components = described["components"]
    lines = [INTRODUCTION, f"{described['info']['description']}\n"]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            lines += _operation(f"{method.upper()} {path}", operation, components["responses"])
    lines.append("\n## Schemas\n")
    for name, schema in components["schemas"].items():
        lines += _schema(name, schema)
    return "\n".join(lines) + "\n"


def words(schema: Schema) -> str:
    """Return the description of a schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(words, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(_code, schema["enum"]))
    if "const" in schema:
        return _code(schema["const"])
    # Content that is not JSON has no type.
    kinds = schema.get("type", "bytes")
    return " or ".join(_words(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _words(kind: str, schema: Schema) -> str:
    if kind == "array":
        pair = schema.get("prefixItems")
        return f"[{', '.join(map(words, pair))}]" if pair else f"list of {words(schema['items'])}"
    if kind == "object":
        return _object(schema)
    if "format" in schema:
        return f"{kind} ({schema['format']})"
    if "pattern" in schema:
        return f"{kind} matching {_code(schema['pattern'])}"
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    return TYPES.get(kind, kind) + _bounds(low, high, " characters" if kind == "string" else "")


def _object(schema: Schema) -> str:
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return f"object of {words(values)}{' by time' if 'propertyNames' in schema else ''}"
    properties = ", ".join(f"`{name}`: {words(each)}" for name, each in schema.get("properties", {}).items())
    return f"object ({properties})" if properties else "object"


def _bounds(low: int | None, high: int | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {low:,}{unit}"
    most = "2⁵³" if high == WHOLE_MAX else f"{high:,}"
    return f" of at most {most}{unit}" if low is None else f" {'of' if unit else 'from'} {low:,} to {most}{unit}"


def _operation(title: str, operation: Schema, shared: Schema) -> Iterator[str]:
    yield f"\n## `{title}`\n\n{_sentence(operation['summary'])}\n"
    yield f"Needs {_token(operation)}.\n"
    parameters = operation["parameters"]
    if parameters:
        rows = [(_code(each["name"]), each["in"], *_described(each["schema"], each)) for each in parameters]
        yield _table(("parameter", "in", "type", "default", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield f"Body: {_content(body)}.\n"
    answers = {status: _resolved(answer, shared) for status, answer in operation["responses"].items()}
    yield _table(("status", "when", "answer"), [_answer(status, answer) for status, answer in answers.items()])


def _token(operation: Schema) -> str:
    if not operation["security"]:
        return "no token"
    return "a write token" if "403" in operation["responses"] else "a token, where `TALLY_READ_TOKEN` is set"


def _resolved(answer: Schema, shared: Schema) -> Schema:
    resolved: Schema = shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
    return resolved


def _answer(status: str, answer: Schema) -> tuple[str, str, str]:
    headers = "".join(f"; {_code(name)}" for name in answer.get("headers", {}))
    return status, answer["description"] + headers, _content(answer)


def _content(body: Schema) -> str:
    contents = [each for each in body.get("content", {}).items() if each[0] != PROBLEM]
    return "; ".join(f"{_code(media)}: {words(content['schema'])}" for media, content in contents)


def _schema(name: str, schema: Schema) -> Iterator[str]:
    yield f"\n### {name}\n"
    if properties := schema.get("properties"):
        rows = [(_code(key), *_described(each, each)) for key, each in properties.items()]
        yield _table(("property", "type", "default", "meaning"), rows)
    else:
        yield _sentence(": ".join(filter(None, (words(schema), schema.get("description"))))) + "\n"


def _described(schema: Schema, described: Schema) -> tuple[str, str, str]:
    value = str(schema.get("default", "")).lower()
    default = _code(value) if value else ""
    return words(schema), default, described.get("description", "")


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _code(text: object) -> str:
    return f"`{text}`"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
