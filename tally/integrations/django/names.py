"""What a request is called: `requests.<method>` and its path, or its URL pattern, with dots for slashes.

    POST /myapp/some-page/update/    requests.post.myapp.some-page.update
    GET /                            requests.get
    GET /articles/7/                 requests.get.articles.7, by route requests.get.articles.<int:pk>

Every name that comes from here is one that a sample may have.
"""

import re
from functools import lru_cache

from django.contrib.admindocs.utils import (
    remove_non_capturing_groups,
    replace_metacharacters,
    replace_named_groups,
    replace_unnamed_groups,
)
from django.urls import ResolverMatch

# What a path that no pattern matches is called by route; no pattern of Django's looks like this.
UNMATCHED = "<unmatched>"
ROUTES = 1024

_NOT_IN_NAME = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_REGEX = re.compile(r"[\^$\\(]")


def by_path(method: str | None, path: str, limit_bytes: int) -> str:
    """Return the name of a request by its path, in at most `limit_bytes`, which are cut off its end."""
    stripped = path.strip("/").replace("/", ".")
    name = f"requests.{(method or '').lower()}.{stripped}" if stripped else f"requests.{(method or '').lower()}"
    if name.isascii() and name.isprintable() and " " not in name and len(name) <= limit_bytes:
        return name
    return _NOT_IN_NAME.sub("_", name).encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def by_route(method: str | None, match: ResolverMatch | None, limit_bytes: int) -> str:
    """Return the name of a request by the URL pattern that it matched, as `by_path`."""
    return by_path(method, UNMATCHED if match is None else _path(match.route), limit_bytes)


@lru_cache(ROUTES)
def _path(route: str) -> str:
    """Return a route as it looks for people: `^articles/(?P<pk>[0-9]+)/$` is `articles/<pk>/`."""
    if not _REGEX.search(route):
        return route
    plain = replace_metacharacters(replace_unnamed_groups(replace_named_groups(remove_non_capturing_groups(route))))
    return plain.replace("\\", "")
