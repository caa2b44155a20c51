"""The slug and properties of an archive."""

from typing import Any

import pytest

from tally.engine import Definition
from tally.engine.definition import PROPERTIES, RESOLUTION_MAX_S, RETENTION_MAX_H, TEXT_MAX, is_slug
from tally.errors import InvalidDefinition

DAY_S = 86_400


@pytest.mark.parametrize("slug", ["a", "0", "daily", "a-b_c", "0" * 64])
def test_slug(slug: str) -> None:
    """A slug is 1 to 64 lower-case letters, digits, underscores and hyphens, a letter or digit first."""
    assert is_slug(slug)
    assert slug == Definition.create(slug).slug


@pytest.mark.parametrize("slug", ["", "-a", "_a", "A", "é", "a.b", "a/b", "..", "a b", "a\n", "0" * 65, 1, None])
def test_an_invalid_slug(slug: Any) -> None:
    """It is rejected, so that no slug leads out of the directory."""
    with pytest.raises(InvalidDefinition, match=r"slug .* is not valid: use 1 to 64"):
        Definition.create(slug)


def test_defaults() -> None:
    """An archive with only a slug has the documented defaults."""
    assert {
        "slug": "daily",
        "name": "daily",
        "description": "",
        "pattern": "*",
        "resolution": 5,
        "retention": 24,
        "enabled": True,
        "percentiles": 0,
    } == Definition.create("daily").fields()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * TEXT_MAX),
        ("description", "فارسی‌ها and 👨‍👩‍👧, with a space at its end "),
        ("pattern", "requests.[a-z]*"),
        ("resolution", 1),
        ("resolution", RESOLUTION_MAX_S),
        ("retention", 0),
        ("retention", RETENTION_MAX_H),
        ("enabled", False),
    ],
)
def test_property(field: str, value: Any) -> None:
    """A valid value is accepted at creation and by an edit."""
    assert value == getattr(Definition.create("x", **{field: value}), field)
    assert value == getattr(Definition.create("x", resolution=1).edited(**{field: value}), field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * (TEXT_MAX + 1)),
        ("name", None),
        ("name", "a\nb"),
        ("name", "\x00"),
        ("description", "\ud800"),
        ("description", "a\u2028b"),
        ("description", 1),
        ("pattern", ""),
        ("pattern", None),
        ("resolution", 0),
        ("resolution", -1),
        ("resolution", RESOLUTION_MAX_S + 1),
        ("resolution", 1.0),
        ("resolution", "1"),
        ("resolution", True),
        ("retention", -1),
        ("retention", RETENTION_MAX_H + 1),
        ("retention", 0.5),
        ("enabled", 1),
        ("enabled", "true"),
    ],
)
def test_an_invalid_property(field: str, value: Any) -> None:
    """The error names the property and a correct value."""
    definition = Definition.create("x", resolution=1)
    for change in (definition.edited, lambda **fields: Definition.create("x", **fields)):
        with pytest.raises(InvalidDefinition, match=rf"\A{field} [^\n]*(use|matches nothing)[^\n]*\Z"):
            change(**{field: value})


def test_unknown_property() -> None:
    """The error lists the properties."""
    with pytest.raises(InvalidDefinition, match="'color' is not a property.*" + ", ".join(PROPERTIES)):
        Definition.create("x", color="red")
    with pytest.raises(InvalidDefinition, match="'slug' is not a property"):
        Definition.create("x").edited(slug="y")


@pytest.mark.parametrize(("resolution", "is_multiple"), [(10, True), (20, True), (15, False), (5, False), (1, False)])
def test_edited_resolution(resolution: int, is_multiple: bool) -> None:
    """The resolution can only change to a multiple."""
    definition = Definition.create("x", resolution=10)
    if is_multiple:
        assert resolution == definition.edited(resolution=resolution).resolution
    else:
        with pytest.raises(InvalidDefinition, match=f"resolution {resolution} is not a multiple of 10"):
            definition.edited(resolution=resolution)


@pytest.mark.parametrize(
    ("now", "retention", "cutoff"),
    [
        (10 * DAY_S, 24, 9 * DAY_S),
        (10 * DAY_S + 9.9, 24, 9 * DAY_S),
        (10 * DAY_S + 10, 24, 9 * DAY_S + 10),
        (10 * DAY_S - 0.1, 24, 9 * DAY_S - 10),
        (10 * DAY_S, 0, 0),
        (DAY_S, 24, 0),
        (0, 24, 0),
    ],
)
def test_cutoff(now: float, retention: int, cutoff: int) -> None:
    """The first kept bucket contains the time `retention` hours ago; with 0 all are kept."""
    assert cutoff == Definition.create("x", resolution=10, retention=retention).cutoff(now)
