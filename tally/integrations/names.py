"""What a request is called: `requests.<method>` and its path, or the route that it took, with dots for slashes.

    POST /myapp/some-page/update/    requests.post.myapp.some-page.update
    GET /                            requests.get
    GET /articles/7/                 requests.get.articles.7, by route requests.get.articles.<int:pk>

Every name that comes from here is one that a sample may have. How a framework writes its routes is left to its adapter.
"""

import re

from tally.errors import InvalidSetting

WAYS = ("path", "route")
# What a path that no route matches is called by route; no route looks like this.
UNMATCHED = "<unmatched>"

_NOT_IN_NAME = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


def check_way(way: str) -> str:
    """Return `way` if requests can be named by it.

    :raises InvalidSetting: when it is not one of WAYS.
    """
    if way not in WAYS:
        raise InvalidSetting(f"names={way!r} is not a way of naming: use {' or '.join(WAYS)}")
    return way


def by_path(method: str | None, path: str, limit_bytes: int) -> str:
    """Return the name of a request by its path, in at most `limit_bytes`, which are cut off its end."""
    stripped = path.strip("/").replace("/", ".")
    name = f"requests.{(method or '').lower()}.{stripped}" if stripped else f"requests.{(method or '').lower()}"
    if name.isascii() and name.isprintable() and " " not in name and len(name) <= limit_bytes:
        return name
    return _NOT_IN_NAME.sub("_", name).encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def by_route(method: str | None, route: str | None, limit_bytes: int) -> str:
    """Return the name of a request by the route that it took, None where it took none, as `by_path`."""
    return by_path(method, UNMATCHED if route is None else route, limit_bytes)
