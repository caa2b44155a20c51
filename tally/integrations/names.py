"""Metric names of requests: `requests.<method>` and the path or the matching route, with dots for slashes.

    POST /myapp/some-page/update/    requests.post.myapp.some-page.update
    GET /                            requests.get
    GET /articles/7/                 requests.get.articles.7, or by route requests.get.articles.<int:pk>
    GET /wp-login.php                requests.get.404 if no route matches, so that a scanner creates one name only

All names are valid names of samples. The adapter of each framework formats the routes.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tally import forks
from tally.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS = ("path", "route")
# The route of a request that was answered before routing. No real route looks like this.
UNMATCHED = "<unmatched>"
# The path of a request that no route matches.
NOT_FOUND = "404"

_NOT_IN_NAME = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


def check_way(way: str) -> str:
    """Return `way`.

    :raises InvalidSetting: when it is not one of WAYS.
    """
    if way not in WAYS:
        raise InvalidSetting(f"names={way!r} is unknown: use {' or '.join(WAYS)}")
    return way


def by_path(method: str | None, path: str, limit_bytes: int) -> str:
    """Return the name of a request by its path, truncated to `limit_bytes`."""
    stripped = path.strip("/").replace("/", ".")
    name = f"requests.{(method or '').lower()}.{stripped}" if stripped else f"requests.{(method or '').lower()}"
    if name.isascii() and name.isprintable() and " " not in name and "|" not in name and len(name) <= limit_bytes:
        return name
    head, colon, rest = name.partition(":")
    name = head + colon + rest.replace("|", "_")  # After a colon, `|` would make it a StatsD line.
    return _NOT_IN_NAME.sub("_", name).encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def by_route(method: str | None, route: str | None, limit_bytes: int) -> str:
    """Return the name of a request by its route, or None if it matched none, truncated as by `by_path`."""
    return by_path(method, UNMATCHED if route is None else route, limit_bytes)


def not_found(method: str | None, limit_bytes: int) -> str:
    """Return the name of a request that no route matches."""
    return by_path(method, NOT_FOUND, limit_bytes)


def is_ignored(name: str, globs: tuple[str, ...]) -> bool:
    """Return whether a name matches one of the globs of TALLY_MIDDLEWARE_IGNORE."""
    return any(matches(name) for matches in _matchers(globs))


@lru_cache(8)
def _matchers(globs: tuple[str, ...]) -> "tuple[Callable[[str], object], ...]":
    if not globs:
        return ()
    with forks.Postponed():  # This loads the engine, which the site may not need otherwise.
        from tally.engine.glob import matcher
    return tuple(matcher(glob) for glob in globs)
