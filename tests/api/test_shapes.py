"""What the schemas of the OpenAPI document are made of."""

from tally.api.shapes import COUNT, TEXT, array_of, map_of, object_of, reference


def test_an_object_has_all_its_properties_and_no_others() -> None:
    """Unless it is said which ones are required; objects with any keys, and those with times, are maps."""
    one = object_of({"a": TEXT, "b": array_of(COUNT)})
    assert (["a", "b"], False) == (one["required"], one["additionalProperties"])
    assert [] == object_of({"a": TEXT}, required=[])["required"]
    assert {"type": "object", "additionalProperties": COUNT} == map_of(COUNT)
    assert "^[0-9]+$" == map_of(COUNT, keys="time")["propertyNames"]["pattern"]
    assert {"$ref": "#/components/schemas/View"} == reference("schemas", "View")
