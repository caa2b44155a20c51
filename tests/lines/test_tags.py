"""Names with tags: cleaned, sorted, and valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.lines.plain import stored_name
from tally.lines.tags import clean_base, clean_tag, join_tags


@pytest.mark.parametrize(
    ("key", "value", "cleaned"),
    [
        ("env", "prod", ("env", "prod")),
        ("a;b!c^d=e f", "~x;y z=~", ("a_b_c_d_e_f", "_x_y_z=~")),
        ("flag", "", ("flag", "true")),
    ],
)
def test_tags_are_cleaned(key: str, value: str, cleaned: tuple[str, str]) -> None:
    """What is not allowed becomes `_`, and a tag without a value is `true`."""
    assert cleaned == clean_tag(key, value)


def test_tags_are_sorted_and_unique() -> None:
    """Their order has no meaning."""
    assert "a;b=1;c=2" == join_tags("a", [("c", "2"), ("b", "1"), ("c", "2")])


def test_a_name_without_a_base_or_key_is_not_valid() -> None:
    """There is nothing to ask for."""
    assert join_tags("", [("a", "b")]) is None
    assert join_tags("a", [("", "b")]) is None


@pytest.mark.parametrize(("length", "is_valid"), [(251, True), (252, False)])
def test_a_name_with_tags_has_at_most_255_bytes(length: int, is_valid: bool) -> None:
    """The tags count."""
    assert is_valid == (join_tags("n" * length, [("a", "b")]) is not None)


@given(st.text(max_size=8), st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3))
def test_any_texts_make_a_valid_name_or_none(base: str, tags: dict[str, str]) -> None:
    """A name that was made is stored as it is."""
    name = join_tags(clean_base(base), [clean_tag(*tag) for tag in tags.items()])
    assert name is None or name == stored_name(name)
