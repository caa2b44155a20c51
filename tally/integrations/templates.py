"""Finds the route of a request in a Starlette or FastAPI app, and formats it for metric names.

    Route("/articles/{pk:int}")                        articles/<int:pk>
    Mount("/shop", routes=[Route("/{name}")])          shop/<name>
    Mount("/static", StaticFiles(directory="static"))  static/<path:path>

Starlette stores in a request's scope which endpoint answered it, but not the route. The path template of a route inside
a mount does not include that of the mount. So the templates of all routes are built once, by endpoint.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from starlette.routing import BaseRoute, Host, Mount, Route, compile_path
from starlette.types import Scope

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")


class HasRoutes(Protocol):
    """An app of Starlette or FastAPI."""

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The routes, in the order of matching."""


class Template(NamedTuple):
    """A route: its full path for metric names, the pattern of its paths, and its endpoint."""

    text: str
    pattern: re.Pattern[str]
    endpoint: object


class Templates:
    """The templates of all routes of an app, including routes that are added later."""

    def __init__(self, app: HasRoutes) -> None:
        self._app = app
        self._count = 0
        self._by_endpoint: dict[int, list[Template]] = {}

    def find(self, scope: Scope, root: str) -> str | None:
        """Return the template of an answered request, None if no route matched.

        `root` is the root path that the scope had before routing.
        """
        if len(self._app.routes) != self._count:
            self._build()
        found = self._by_endpoint.get(id(scope.get("endpoint")), [])
        if len(found) == 1:
            return found[0].text
        path = scope["path"].removeprefix(root)
        return next((template.text for template in found if template.pattern.match(path)), None)

    def _build(self) -> None:
        found: dict[int, list[Template]] = {}
        routes = self._app.routes
        for path, endpoint in _flatten(routes, ""):
            template = Template(_PARAMETER.sub(_format, path), compile_path(path)[0], endpoint)
            found.setdefault(id(endpoint), []).append(template)
        self._count = len(routes)
        self._by_endpoint = found


def _format(parameter: re.Match[str]) -> str:
    name, converter = parameter.groups()
    return f"<{converter}:{name}>" if converter and converter != "str" else f"<{name}>"


def _flatten(routes: Iterable[BaseRoute], prefix: str) -> Iterator[tuple[str, object]]:
    """Yield the full path and the endpoint of every route; routes inside a mount come before the mount itself."""
    for route in routes:
        if isinstance(route, Route):
            yield prefix + route.path, route.endpoint
        elif isinstance(route, Mount):
            yield from _flatten(route.routes, prefix + route.path)
            yield prefix + route.path + "/{path:path}", route.app
        elif isinstance(route, Host):
            yield from _flatten(route.routes, prefix)
        elif hasattr(route, "effective_route_contexts"):  # A router that was included in a FastAPI app.
            yield from _flatten_included(route, prefix)


def _flatten_included(router: BaseRoute, prefix: str) -> Iterator[tuple[str, object]]:
    for context in router.effective_route_contexts():  # type: ignore[attr-defined]
        if context.starlette_route is not None:
            yield from _flatten([context.starlette_route], prefix)
        elif context.path:
            yield prefix + context.path, context.endpoint
