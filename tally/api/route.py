"""One route: how its path is written and matched, and what an endpoint is handed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from tally.api.message import Reply, Request
from tally.engine.catalog import Catalog
from tally.engine.question import parse_flag
from tally.errors import InvalidQuestion
from tally.settings import Settings


@dataclass(frozen=True)
class Call:
    """One request on its way to an endpoint; `path` holds what stood in the route's braces, `now` is unix seconds."""

    request: Request
    route: "Route"
    path: dict[str, str]
    settings: Settings
    catalog: Catalog
    now: float
    routes: "Sequence[Route]" = field(repr=False)

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """The query's fields without those that begin with an underscore.

        :raises InvalidQuestion: when the query is malformed.
        """
        return [(name, value) for name, value in self.request.fields() if not name.startswith("_")]

    def plain(self, *allowed: str) -> dict[str, list[str]]:
        """The fields of a request that asks for no data: of each name `allowed` and of `pretty`, its values.

        :raises InvalidQuestion: when there is another field.
        """
        values: dict[str, list[str]] = {name: [] for name in (*allowed, "pretty")}
        for name, value in self.fields:
            if name not in values:
                raise InvalidQuestion(f"{name}={value} means nothing here; {self._takes(values)}")
            values[name].append(value)
        return values

    def pretty(self) -> bool:
        """Whether the answer shall be indented.

        :raises InvalidQuestion: when `pretty` is malformed or there is a field beside it.
        """
        return flag("pretty", self.plain()["pretty"])

    def _takes(self, values: dict[str, list[str]]) -> str:
        return f"{self.route.template} takes " + " and ".join(values)


def flag(name: str, texts: list[str]) -> bool:
    """What a flag says that may be given once.

    :raises InvalidQuestion: when it is malformed or given several times.
    """
    if len(texts) > 1:
        raise InvalidQuestion(f"{name} is given {len(texts)} times; give it once")
    return parse_flag(name, texts[0]) if texts else False


@dataclass(frozen=True)
class Route:
    """One row of the table of routes.

    `parameters` is the kind of question whose parameters it takes, `names`, or `none`; `schema` names its answer in the
    OpenAPI document; an `open` route needs no token.
    """

    methods: tuple[str, ...]
    template: str
    endpoint: Callable[[Call], Reply]
    summary: str
    parameters: str
    answer: str
    schema: str
    status: int = 200
    open: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """What stands in the template's braces, or None where the path is not this route's."""
        found = _expression(self.template).fullmatch(path)
        return found.groupdict() if found else None


@lru_cache
def _expression(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))
