"""One route: how its path is written and matched, what it takes, and what its endpoint is handed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tally.api.message import JSON, MAX_BODY_BYTES, Reply, Request
from tally.api.metrics import Metrics
from tally.api.redaction import public
from tally.engine.asking.question import AGGREGATES, PARAMETERS, Question
from tally.engine.catalog import Catalog
from tally.engine.files.status import CollectorStatuses
from tally.errors import InvalidQuestion
from tally.graphite.request import Meaning
from tally.settings import Settings


class Asks(NamedTuple):
    """The question of a data route, before its aggregate and parameters: see `Question`."""

    kind: str
    by: str


@dataclass(frozen=True)
class Route:
    """One row of the table of routes; one for GET answers HEAD too.

    A data route `asks` a question and takes its parameters, others take what `takes` names. `schema` names the answer
    in the OpenAPI document, where one that `is_page` does not stand: it is for browsers. `fails_as` names the answer
    with 503, where that is no problem, and `body` what it is sent, of at most `max_body_bytes`. One that `is_open`
    needs neither a token nor a file, and one that `is_private` a write token though it only reads. One that `reads`
    archives has none in its path. One that `speaks` Graphite's words only reads, whatever its method, takes the
    parameters there, ignores others, and is the same with a slash at its end.
    """

    method: str
    template: str
    endpoint: "Callable[[Call], Reply]"
    summary: str
    asks: Asks | None = None
    takes: tuple[str, ...] = ("pretty",)
    schema: str = ""
    status: int = 200
    is_open: bool = False
    is_page: bool = False
    is_private: bool = False
    media_type: str = JSON
    fails_as: str = ""
    body: str = ""
    max_body_bytes: int = MAX_BODY_BYTES
    reads: bool = False
    speaks: Mapping[str, Meaning] | None = field(default=None, hash=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def needs_write_token(self) -> bool:
        """Whether a token to read is not enough."""
        return self.is_private or (self.method != "GET" and self.speaks is None)

    @property
    def is_question(self) -> bool:
        """Whether it is about the data of archives, and so is counted."""
        return self.asks is not None or self.reads

    @property
    def places(self) -> tuple[str, ...]:
        """What stands in the template's braces."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of PARAMETERS, or of what it `speaks`, that it takes."""
        if self.asks is None:
            return self.takes
        aggregate = AGGREGATES[0] if "aggregate" in self.places else None
        question = Question(self.asks.kind, aggregate, self.asks.by)
        return tuple(name for name, parameter in PARAMETERS.items() if parameter.applies(question))

    @property
    def meanings(self) -> dict[str, str]:
        """What its parameters mean, by name."""
        if self.speaks is not None:
            return {name: self.speaks[name].text for name in self.parameters}
        return {name: PARAMETERS[name].meaning for name in self.parameters}

    def match(self, path: str) -> dict[str, str] | None:
        """Return what stands in the template's braces, or None where the path is not this route's."""
        found = self._expression.fullmatch(path)
        return found.groupdict() if found else None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        expression = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.template))
        return re.compile(expression if self.speaks is None else f"{expression}/?")


@dataclass(frozen=True)
class Call:
    """One request on its way to an endpoint; `path` holds what stood in the route's braces, `now` is unix seconds."""

    request: Request
    route: Route
    path: dict[str, str]
    settings: Settings
    catalog: Catalog
    metrics: Metrics
    now: float
    books: CollectorStatuses
    routes: Sequence[Route] = field(repr=False)

    def given(self) -> dict[str, tuple[Any, ...]]:
        """Return the values of each parameter that the route takes, for a route that asks no question.

        :raises InvalidQuestion: when one is malformed or given twice, or there is another that does not begin with `_`.
        """
        values: dict[str, tuple[Any, ...]] = dict.fromkeys(self.route.takes, ())
        for name, text in self.request.fields():
            if name.startswith("_"):
                continue
            if name not in values:
                takes = f"{self.route.template} takes {' and '.join(values)}"
                raise InvalidQuestion(f"parameter {name!r:.100} has no meaning here: {takes}")
            if values[name] and name != "q":
                raise InvalidQuestion(f"parameter {name!r} is given twice: give it once")
            values[name] += (PARAMETERS[name].parse(name, text, self.now),)
        return values

    def public(self, text: str) -> str:
        """Return an error's text as anybody may read it, without paths of the server."""
        return public(text, self.settings.data_dir)

    def pretty(self) -> bool:
        """Return whether the answer shall be indented; raises as `given`."""
        return any(self.given()["pretty"])
