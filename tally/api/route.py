"""One route of the API, without a web framework: its path, parameters and answer, and what its endpoint is given."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tally.api.message import JSON, MAX_BODY_BYTES, Reply, Request
from tally.api.metrics import Metrics
from tally.api.problems import public
from tally.engine.asking.question import AGGREGATES, PARAMETERS, Question
from tally.engine.catalog import Catalog
from tally.engine.files.status import CollectorStatuses
from tally.graphite.request import Meaning
from tally.settings import Settings


class Subject(NamedTuple):
    """What a data route asks of an archive, before its aggregate and parameters: see `Question`."""

    kind: str
    by: str


@dataclass(frozen=True)
class Route:
    """One row of the table of routes.

    method, template, name     as in Starlette: a row for GET answers HEAD too
    endpoint                   makes a Reply of a Call
    summary                    of the OpenAPI document
    subject                    of a data route, which takes the parameters of such a question
    takes                      the parameters of any other route
    schema                     names the answer in the OpenAPI document; a route that `is_page` is not in it
    fails_as                   names the answer with 503 where that is not a problem
    body, max_body_bytes       names the body, and bounds it
    is_open                    is answered without a token and without reading a file
    is_private                 needs a write token though it only reads
    is_question                is about the data of archives, and is counted in the metrics
    graphite                   the parameters of a route of Graphite's: it only reads, whatever its method, ignores
                               other parameters, and may end with a slash
    """

    method: str
    template: str
    name: str
    endpoint: "Callable[[Call], Reply]"
    summary: str
    subject: Subject | None = None
    takes: tuple[str, ...] = ("pretty",)
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
        """The methods that it answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def paths(self) -> tuple[str, ...]:
        """The templates of the paths that it answers."""
        return (self.template,) if self.graphite is None else (self.template, f"{self.template}/")

    @property
    def needs_write_token(self) -> bool:
        """Whether a token to read is not enough."""
        return self.is_private or (self.method != "GET" and self.graphite is None)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in the template's braces."""
        return tuple(re.findall(r"\{(\w+)\}", self.template))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters that it takes."""
        if self.subject is None:
            return self.takes
        aggregate = AGGREGATES[0] if "aggregate" in self.placeholders else None
        question = Question(self.subject.kind, aggregate, self.subject.by)
        return tuple(name for name, parameter in PARAMETERS.items() if parameter.applies(question))

    @property
    def meanings(self) -> dict[str, str]:
        """What its parameters mean, by name."""
        if self.graphite is not None:
            return {name: self.graphite[name].text for name in self.parameters}
        return {name: PARAMETERS[name].meaning for name in self.parameters}


@dataclass(frozen=True)
class Call:
    """One request for an endpoint: `path` has the values of the template's placeholders, `now` is in unix seconds.

    `parameters` are validated: see `tally.api.parameters`.
    """

    request: Request
    route: Route
    path: Mapping[str, str]
    parameters: Any
    settings: Settings
    catalog: Catalog
    metrics: Metrics
    now: float
    books: CollectorStatuses
    routes: Sequence[Route] = field(repr=False)

    def public(self, text: str) -> str:
        """Return the text of an error without paths of the server."""
        return public(text, self.settings.data_dir)

    @property
    def is_pretty(self) -> bool:
        """Whether to indent the answer."""
        return any(self.parameters["pretty"])
