"""What the schemas of the OpenAPI document are made of."""

from jsonschema import Draft202012Validator

from tally.api.shapes import array_of, map_of, object_of, reference


def test_the_shapes_refuse_other_values() -> None:
    """An object has all of its properties and no others; keys of times are numbers."""
    shape = Draft202012Validator(object_of({"a": array_of({"type": "integer"}), "b": map_of({}, keys="time")}))
    assert shape.is_valid({"a": [1], "b": {"1700000000": "x"}})
    for value in ({"a": [1]}, {"a": ["1"], "b": {}}, {"a": [], "b": {"x": 1}}, {"a": [], "b": {}, "c": 1}):
        assert not shape.is_valid(value)
    assert {"$ref": "#/components/schemas/Texts"} == reference("schemas", "Texts")
