"""Saved views: what is valid, what is replaced, and what is left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tally.engine.views import ADDRESS_MAX, NAME_MAX, VIEWS_MAX, View, Views
from tally.errors import ArchiveUnavailable, InvalidDefinition


def test_views_are_saved_replaced_and_deleted(tmp_path: Path) -> None:
    """A view is found by its name, whatever its case; saving it again replaces it."""
    views = Views(tmp_path / "new")
    assert [] == views.find()
    first = views.save({"name": "checkout", "address": "archive/daily/?q=checkout"})
    other = views.save({"name": "All / of it", "address": ""})
    assert [other, first] == views.find()
    again = views.save({"name": "checkout", "address": "?top=8"})
    assert (first.id, [other, again]) == (again.id, views.find())
    assert ([True, False], [other]) == ([views.delete(first.id), views.delete(first.id)], views.find())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "a"},
        {"name": "", "address": ""},
        {"name": "x" * (NAME_MAX + 1), "address": ""},
        {"name": " a", "address": ""},
        {"name": "a\nb", "address": ""},
        {"name": 1, "address": ""},
        {"name": "a", "address": "https://example.com/"},
        {"name": "a", "address": "//example.com/"},
        {"name": "a", "address": "javascript:alert(1)"},
        {"name": "a", "address": "archive/Daily/"},
        {"name": "a", "address": "archive/daily/#x"},
        {"name": "a", "address": "?" + "x" * ADDRESS_MAX},
        {"name": "a", "address": "?a b"},
        {"name": "a", "address": "", "more": 1},
    ],
)
def test_what_is_no_view_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Only addresses of the dashboard's own pages are taken, and names that fit a line."""
    with pytest.raises(InvalidDefinition):
        Views(tmp_path).save(fields)
    assert [] == [*tmp_path.iterdir()]


def test_the_longest_are_taken(tmp_path: Path) -> None:
    """Bounds are included."""
    saved = Views(tmp_path).save({"name": "x" * NAME_MAX, "address": "?" + "x" * (ADDRESS_MAX - 1)})
    assert [saved] == Views(tmp_path).find()


def test_there_are_not_too_many(tmp_path: Path) -> None:
    """One more is refused; one that there is can still be replaced."""
    views = Views(tmp_path)
    views.save({"name": "a", "address": ""})
    for number in range(VIEWS_MAX - 2):
        view = View.create({"name": f"n{number}", "address": ""})
        fields = {"name": view.name, "address": view.address}
        (tmp_path / f"view-{view.id:012x}.json").write_text(json.dumps(fields))
    views.save({"name": "last", "address": ""})
    with pytest.raises(InvalidDefinition, match="delete one first"):
        views.save({"name": "more", "address": ""})
    views.save({"name": "a", "address": "?top=8"})


def test_other_files_are_left_out(tmp_path: Path) -> None:
    """What is no view, or not under its own number, is not listed."""
    saved = Views(tmp_path).save({"name": "a", "address": ""})
    path = tmp_path / f"view-{saved.id:012x}.json"
    for name, content in (("view-1.json", path.read_text()), ("view-2.json", "[1]"), ("view-3.json", "{")):
        (tmp_path / name).write_text(content)
    assert [saved] == Views(tmp_path).find()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """The error says so."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveUnavailable):
        Views(tmp_path / "file" / "data").save({"name": "a", "address": ""})
