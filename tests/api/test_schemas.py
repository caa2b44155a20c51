"""The schemas of the OpenAPI document are schemas, and know each other."""

import re

import pytest
from jsonschema import Draft202012Validator

from tally.api.schemas import PARAMETER_SCHEMAS, SCHEMAS


@pytest.mark.parametrize("name", [*SCHEMAS, *PARAMETER_SCHEMAS])
def test_each_is_a_schema_whose_references_exist(name: str) -> None:
    """Each is valid, and what it refers to is in the document."""
    schema = {**PARAMETER_SCHEMAS, **SCHEMAS}[name]
    Draft202012Validator.check_schema(schema)
    assert {*re.findall(r"#/components/schemas/(\w+)", str(schema))} <= SCHEMAS.keys()
