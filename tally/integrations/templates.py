"""The routes of a Starlette or FastAPI app as people read them, found again by what answered a request.

    Route("/articles/{pk:int}")                        articles/<int:pk>
    Mount("/shop", routes=[Route("/{name}")])          shop/<name>
    Mount("/static", StaticFiles(directory="static"))  static/<path:path>

Starlette leaves in a request's scope which endpoint answered it, but not the template of its path, of which a mount has
only the first part. So the endpoints of all routes are looked up once.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from starlette.routing import BaseRoute, Host, Mount, Route, compile_path
from starlette.types import Scope

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")


class HasRoutes(Protocol):
    """What the apps of Starlette and FastAPI have in common."""

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """The routes, in the order in which they are tried."""


class Template(NamedTuple):
    """A route: its whole path as people read it, the paths that it is for, and what answers them."""

    text: str
    pattern: re.Pattern[str]
    endpoint: object


class Templates:
    """The templates of an app's routes; those that the app gets later are found too."""

    def __init__(self, app: HasRoutes) -> None:
        self._app = app
        self._count = 0
        self._by_endpoint: dict[int, list[Template]] = {}

    def of(self, scope: Scope, root: str) -> str | None:
        """Return the template of a request that was answered, None where no route matched.

        `root` is the root path that the scope had when it came to these routes.
        """
        if len(self._app.routes) != self._count:
            self._look()
        found = self._by_endpoint.get(id(scope.get("endpoint")), [])
        if len(found) == 1:
            return found[0].text
        path = scope["path"].removeprefix(root)
        return next((template.text for template in found if template.pattern.match(path)), None)

    def _look(self) -> None:
        found: dict[int, list[Template]] = {}
        routes = self._app.routes
        for path, endpoint in _flat(routes, ""):
            template = Template(_PARAMETER.sub(_legible, path), compile_path(path)[0], endpoint)
            found.setdefault(id(endpoint), []).append(template)
        self._count = len(routes)
        self._by_endpoint = found


def _legible(parameter: re.Match[str]) -> str:
    name, converter = parameter.groups()
    return f"<{converter}:{name}>" if converter and converter != "str" else f"<{name}>"


def _flat(routes: Iterable[BaseRoute], prefix: str) -> Iterator[tuple[str, object]]:
    """Yield the whole path and the endpoint of every route, those within mounts before the mount itself."""
    for route in routes:
        if isinstance(route, Route):
            yield prefix + route.path, route.endpoint
        elif isinstance(route, Mount):
            yield from _flat(route.routes, prefix + route.path)
            yield prefix + route.path + "/{path:path}", route.app
        elif isinstance(route, Host):
            yield from _flat(route.routes, prefix)
        elif hasattr(route, "effective_route_contexts"):  # A router that FastAPI has included.
            yield from _flat_included(route, prefix)


def _flat_included(router: BaseRoute, prefix: str) -> Iterator[tuple[str, object]]:
    for context in router.effective_route_contexts():  # type: ignore[attr-defined]
        if context.starlette_route is not None:
            yield from _flat([context.starlette_route], prefix)
        elif context.path:
            yield prefix + context.path, context.endpoint
