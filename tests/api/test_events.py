"""The routes of events, in tally's and Graphite's words."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.asking import NOW, Got, ask, service
from tests.api.cases import bearer

TOKEN = "writer"


def post(directory: Path, body: Any, token: str = TOKEN, **settings: Any) -> Got:
    """Return the answer to a new event."""
    asked = service(directory, write_token=TOKEN, **settings)
    return ask(asked, "/events/", method="POST", headers=bearer(token), body=body)


def get(directory: Path, target: str = "/events/", **fields: Any) -> Any:
    """Return the value of an answer."""
    got = ask(service(directory), f"{target}?{urlencode(fields)}")
    assert 200 == got.status, got.body
    return got.json


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with three events."""
    for body in (
        {"title": "deployed 1", "tags": ["deploy", "web"], "since": NOW - 60},
        {"title": "moved", "text": "all of it", "tags": "deploy", "since": NOW - 3600, "until": "-30min"},
        {"what": "Grafana's", "when": NOW - 5, "tags": "web other", "data": "more"},
    ):
        assert 200 == post(tmp_path, body).status
    return tmp_path


def test_an_event_is_stored_and_found(tmp_path: Path) -> None:
    """The answer to a new event is the event, and it is found."""
    stored = {"id": 1, "title": "a", "text": "", "tags": ["x", "y"], "since": NOW, "until": None}
    assert stored == post(tmp_path, {"title": "a", "tags": ["x", "y"]}).json
    assert [stored] == get(tmp_path)


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, [2, 1, 3]),
        ({"since": NOW - 60}, [1, 3]),
        ({"since": "-30min"}, [2, 1, 3]),
        ({"until": "-31min"}, [2]),
        ({"since": NOW - 59, "until": NOW - 6}, []),
        ({"tags": "deploy"}, [2, 1]),
        ({"tags": "web,deploy"}, [1]),
        ({"tags": ""}, [2, 1, 3]),
        ({"tags": "unknown"}, []),
    ],
)
def test_a_range_and_tags_choose(directory: Path, fields: dict[str, Any], ids: list[int]) -> None:
    """Events overlap the range and have all of the tags, in the order of their beginning."""
    assert ids == [event["id"] for event in get(directory, **fields)]


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, [2, 1, 3]),
        ({"from": "-1min", "until": "now"}, [1, 3]),
        ({"from": int(NOW) - 60, "until": int(NOW) - 6}, [1]),
        ({"tags": "web deploy"}, [1]),
        ({"tags": "web deploy", "set": "intersection"}, [1]),
        ({"tags": "other,deploy", "set": "union"}, [2, 1, 3]),
        ({"jsonp": "x"}, [2, 1, 3]),
    ],
)
@pytest.mark.parametrize("path", ["/events/get_data", "/events/get_data/"])
def test_graphite_finds_them(directory: Path, path: str, fields: dict[str, Any], ids: list[int]) -> None:
    """Grafana's annotations ask in Graphite's words."""
    assert ids == [event["id"] for event in get(directory, path, **fields)]


def test_graphite_s_answer(directory: Path) -> None:
    """It has Graphite's fields."""
    expected = {"when": int(NOW) - 5, "what": "Grafana's", "data": "more", "tags": ["web", "other"], "id": 3}
    assert expected == get(directory, "/events/get_data")[-1]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"title": ""}, "title ''"),
        ({"title": "a", "since": "soon"}, "since 'soon' is not a time"),
        ({"title": "a", "colour": "red"}, "'colour' is not a field"),
        ({"title": "a", "since": 5}, "more than 8760 h ago"),
        ([], "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"title": NaN}', "not JSON"),
    ],
)
def test_wrong_events_are_refused(tmp_path: Path, body: Any, says: str) -> None:
    """The problem names the value; nothing is stored, not even a file."""
    got = post(tmp_path, body)
    assert (400, True) == (got.status, says in got.json["detail"])
    assert [] == list(tmp_path.iterdir())


def test_access_is_as_for_samples(tmp_path: Path) -> None:
    """Writing needs the write token, reading the read token, and without a write token nothing can be written."""
    assert 401 == post(tmp_path, {"title": "a"}, token="wrong").status
    assert 403 == post(tmp_path, {"title": "a"}, token="reader", read_token="reader").status
    assert 401 == ask(service(tmp_path, read_token="reader"), "/events/").status
    assert 403 == ask(service(tmp_path), "/events/", method="POST", body={"title": "a"}).status


def test_a_foreign_file_is_told(tmp_path: Path) -> None:
    """It is no server error without words."""
    (tmp_path / "events.db").write_bytes(b"somebody else's" * 100)
    got = post(tmp_path, {"title": "a"})
    assert (503, True) == (got.status, "move the file away" in got.json["detail"])


@pytest.mark.parametrize("fields", [{"since": "soon"}, {"q": "a"}, {"tags": ["a", "b"]}])
def test_wrong_parameters_are_told(directory: Path, fields: dict[str, Any]) -> None:
    """An unknown, malformed or repeated parameter is 400."""
    assert 400 == ask(service(directory), f"/events/?{urlencode(fields, doseq=True)}").status
