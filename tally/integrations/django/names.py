"""Metric names of requests by URL pattern. Regular expressions are simplified first.

^articles/(?P<pk>[0-9]+)/$    requests.get.articles.<pk>
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

from tally.integrations import names

ROUTES = 1024

_REGEX = re.compile(r"[\^$\\(]")


def by_route(method: str | None, match: ResolverMatch, limit_bytes: int) -> str:
    """Return the name of a request by the URL pattern that it matched."""
    return names.by_route(method, _path(match.route), limit_bytes)


@lru_cache(ROUTES)
def _path(route: str) -> str:
    """Return a route in readable form: `^articles/(?P<pk>[0-9]+)/$` becomes `articles/<pk>/`."""
    if not _REGEX.search(route):
        return route
    plain = replace_metacharacters(replace_unnamed_groups(replace_named_groups(remove_non_capturing_groups(route))))
    return plain.replace("\\", "")
