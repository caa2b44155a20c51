"""Metric names of requests: `requests.<method>` and the path or the matching route, with dots for slashes; or tags.

    POST /myapp/some-page/update/    requests.post.myapp.some-page.update
    GET /                            requests.get
    GET /articles/7/                 requests.get.articles.7, or by route requests.get.articles.<int:pk>
    GET /wp-login.php                requests.get.404 if no route matches, so that a scanner creates one name only

    GET /articles/7/    200          requests;method=get;route=articles/<int:pk>;status=200, by tags
    GET /wp-login.php   404          requests;method=get;route=<unmatched>;status=404

All names are valid names of samples. The adapter of each framework formats the routes.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tally import forks
from tally.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS = ("path", "route", "tags")
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
        raise InvalidSetting(f"names={way!r} is unknown: use {', '.join(WAYS[:-1])} or {WAYS[-1]}")
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


def by_tags(method: str | None, route: str | None, status: int, limit_bytes: int) -> str:
    """Return the name of a request with the tags method, route (None if it matched none) and status.

    The route is truncated, so that the name has at most `limit_bytes`.
    """
    text = UNMATCHED if route is None else route.strip("/") or "/"
    before = f"requests;method={_clean_tag((method or '').lower()) or '_'};route="
    after = f";status={status}"
    room = max(1, limit_bytes - len(before.encode()) - len(after))
    return before + _clean_tag(text).encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + after


def _clean_tag(value: str) -> str:
    """Return the value of a tag, with `_` for characters that are not allowed."""
    return re.sub("^~|[;|]", "_", _NOT_IN_NAME.sub("_", value))


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
