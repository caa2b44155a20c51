"""The schemas of the OpenAPI document are schemas, and know each other."""

import re

import pytest
from jsonschema import Draft202012Validator

from tally.api.schemas import PARAMETER_SCHEMAS, SCHEMAS, array_of, map_of, object_of, reference


@pytest.mark.parametrize("name", [*SCHEMAS, *PARAMETER_SCHEMAS])
def test_each_is_a_schema_whose_references_exist(name: str) -> None:
    """Each is valid, and what it refers to is in the document."""
    schema = {**PARAMETER_SCHEMAS, **SCHEMAS}[name]
    Draft202012Validator.check_schema(schema)
    assert {*re.findall(r"#/components/schemas/(\w+)", str(schema))} <= SCHEMAS.keys()


def test_the_shapes_refuse_other_values() -> None:
    """An object has all of its properties and no others; keys of times are numbers."""
    shape = Draft202012Validator(object_of({"a": array_of({"type": "integer"}), "b": map_of({}, keys="time")}))
    assert shape.is_valid({"a": [1], "b": {"1700000000": "x"}})
    for value in ({"a": [1]}, {"a": ["1"], "b": {}}, {"a": [], "b": {"x": 1}}, {"a": [], "b": {}, "c": 1}):
        assert not shape.is_valid(value)
    assert {"$ref": "#/components/schemas/Texts"} == reference("schemas", "Texts")
