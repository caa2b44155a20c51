"""The table of routes: which of them a path is of."""

import pytest

from tally.api.routes import ROUTES, find


@pytest.mark.parametrize(
    "path",
    [
        *(route.template.replace("{", "").replace("}", "") for route in ROUTES),
        *("/values/daily", "/values/daily/\n", "/render/", "/render//", "x/values/daily/", "//", "*", ""),
    ],
)
def test_all_routes_of_a_path_are_found(path: str) -> None:
    """Those that match are found, in the order of the table, as if each had been tried."""
    assert [(route, match) for route in ROUTES if (match := route.match(path)) is not None] == find(path)


def test_a_path_is_looked_up_by_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes that begin with another word are not tried."""
    tried: list[str] = []
    monkeypatch.setattr("tally.api.route.Route.match", lambda route, _path: tried.append(route.template))
    assert [] == find("/names/daily/")
    assert ["/names/{slug}/"] == tried
