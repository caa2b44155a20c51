"""A route of the API, independent of any web framework, and the call that its endpoint receives."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tally.api.message import JSON, MAX_BODY_BYTES, Reply, Request
from tally.api.metrics import Metrics
from tally.api.problems import public
from tally.engine.asking.question import AGGREGATES, CHANGES, OF_EVENTS, OF_SAMPLES, PARAMETERS, Question
from tally.engine.catalog import Catalog
from tally.engine.files.status import CollectorStatuses
from tally.graphite.request import Meaning
from tally.settings import Settings

# All query parameters, except for Graphite's.
KNOWN = {**PARAMETERS, **CHANGES, **OF_EVENTS, **OF_SAMPLES}


class Subject(NamedTuple):
    """The kind and the order of a data route's question: see `Question`."""

    kind: str
    by: str


@dataclass(frozen=True)
class Route:
    """A row of the table of routes.

    method, template, name     as in Starlette; GET includes HEAD
    endpoint                   returns the Reply for a Call
    summary                    for the OpenAPI document
    subject                    the question of a data route
    takes                      the parameters of any other route
    ignores                    parameters that are accepted and have no meaning
    schema                     the schema of the answer in the OpenAPI document
    fails_as                   the schema of an answer with 503, if it is not a problem
    body, max_body_bytes       the schema and the maximum size of the body
    is_open                    needs no token and reads no file
    is_page                    is not in the OpenAPI document
    is_private                 needs a write token, although it only reads
    is_question                queries archives, and is counted in the metrics
    graphite                   the parameters of a Graphite route, which only reads, ignores unknown parameters, and
                               may end with a slash
    """

    method: str
    template: str
    name: str
    endpoint: "Callable[[Call], Reply]"
    summary: str
    subject: Subject | None = None
    takes: tuple[str, ...] = ("pretty",)
    ignores: tuple[str, ...] = ()
    schema: str = ""
    status: int = 200
    is_open: bool = False
    is_page: bool = False
    is_private: bool = False
    is_question: bool = False
    media_type: str = JSON
    fails_as: str = ""
    body: str = ""
    max_body_bytes: int = MAX_BODY_BYTES
    graphite: Mapping[str, Meaning] | None = field(default=None, hash=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """The allowed methods."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of its paths."""
        return (self.template,) if self.graphite is None else (self.template, f"{self.template}/")

    @property
    def needs_write_token(self) -> bool:
        """Whether a read token is not enough."""
        return self.is_private or (self.method != "GET" and self.graphite is None)

    @property
    def is_for_auto(self) -> bool:
        """Whether the slug may be `auto`."""
        return self.subject is not None or self.name in ("names", "patterns")

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names of the path parameters."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the query parameters."""
        if self.subject is None:
            return self.takes
        aggregate = AGGREGATES[0] if "aggregate" in self.placeholders else None
        question = Question(self.subject.kind, aggregate, self.subject.by)
        return tuple(name for name, parameter in PARAMETERS.items() if parameter.applies(question))

    @property
    def meanings(self) -> dict[str, str]:
        """The descriptions of the query parameters."""
        if self.graphite is not None:
            return {name: self.graphite[name].text for name in self.parameters}
        return {name: KNOWN[name].meaning for name in self.parameters}


@dataclass(frozen=True)
class Call:
    """A request with all that its endpoint needs. `parameters` are validated (see `tally.api.parameters`).

    `catalog` has the archives in the data directory. `answers` has those that queries are about: the same, or those of
    the cluster.
    """

    request: Request
    route: Route
    path: Mapping[str, str]
    parameters: Any
    settings: Settings
    catalog: Catalog
    answers: Catalog
    metrics: Metrics
    now: float
    books: CollectorStatuses
    routes: Sequence[Route] = field(repr=False)

    def public(self, text: str) -> str:
        """Return the text of an error without paths."""
        return public(text, self.settings.data_dir)

    @property
    def is_pretty(self) -> bool:
        """Whether to indent the answer."""
        return any(self.parameters["pretty"])
