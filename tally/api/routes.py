"""The one table of routes: what is dispatched, what `/openapi.json` tells and what docs/http.md describes.

Of two that match a path, the one that stands first is asked.
"""

from collections.abc import Callable

from tally.api import endpoints, graphite, health, metrics, pages, samples
from tally.api.message import MAX_SAMPLES_BYTES, Reply
from tally.api.route import Asks, Call, Route
from tally.engine.recovery.backup import MEDIA_TYPE


def _data(template: str, kind: str, by: str, summary: str) -> Route:
    return Route("GET", template, endpoints.ask, summary, Asks(kind, by))


def _page(template: str, endpoint: Callable[[Call], Reply], summary: str) -> Route:
    return Route("GET", template, endpoint, summary, takes=(), is_page=True)


ROUTES = (
    _data("/values/{slug}/", "values", "time", "name → time → all aggregates"),
    _data("/values/{slug}/bytime/", "values", "time", "name → time → all aggregates"),
    _data("/values/{slug}/byname/", "values", "name", "time → name → all aggregates"),
    _data("/values/{slug}/{aggregate}/", "values", "time", "name → time → that aggregate"),
    _data("/values/{slug}/{aggregate}/bytime/", "values", "time", "name → time → that aggregate"),
    _data("/values/{slug}/{aggregate}/byname/", "values", "name", "time → name → that aggregate"),
    _data("/aggregate/{slug}/", "aggregate", "time", "time → all aggregates over the matching names"),
    _data("/aggregate/{slug}/bytime/", "aggregate", "time", "time → all aggregates over the matching names"),
    _data("/aggregate/{slug}/byname/", "aggregate", "name", "name → all aggregates over the time range"),
    _data("/aggregate/{slug}/{aggregate}/", "aggregate", "time", "time → that aggregate"),
    _data("/aggregate/{slug}/{aggregate}/bytime/", "aggregate", "time", "time → that aggregate"),
    _data("/aggregate/{slug}/{aggregate}/byname/", "aggregate", "name",
          "name → that aggregate, highest first, then by name"),
    _data("/timedata/{slug}/", "timedata", "time", "time and all aggregates or null, for every bucket of the range"),
    _data("/timedata/{slug}/{aggregate}/", "timedata", "time",
          "time and that aggregate or null, for every bucket of the range"),
    Route("GET", "/names/{slug}/", endpoints.names, "the metric names", takes=("q", "pretty"), schema="Texts"),
    Route("GET", "/patterns/{slug}/", endpoints.patterns, "globs worth offering", schema="Texts"),
    Route("GET", "/archives/", endpoints.archives, "the archives by slug", schema="Archives"),
    Route("POST", "/archives/", endpoints.create, "create an archive", schema="Archive", status=201,
          body="NewArchive"),
    Route("GET", "/archives/{slug}/", endpoints.archive, "one archive", schema="Archive"),
    Route("PATCH", "/archives/{slug}/", endpoints.edit, "change an archive", schema="Archive",
          body="ArchiveChanges"),
    Route("DELETE", "/archives/{slug}/", endpoints.delete, "delete an archive with all that it holds", status=204),
    Route("GET", "/archives/{slug}/backup/", endpoints.backup, "a verified copy of an archive's file as it is now",
          schema="File", media_type=MEDIA_TYPE, is_private=True),
    Route("POST", "/samples/", samples.post, "store the samples in the lines of the body", schema="Stored",
          body="Lines", max_body_bytes=MAX_SAMPLES_BYTES),
    *graphite.ROUTES,
    _page("/", pages.overview, "the dashboard: all archives"),
    _page("/archive/{slug}/", pages.archive, "the dashboard: one archive"),
    _page("/dashboard/{file}", pages.file, "the dashboard's scripts, styles and icon"),
    Route("GET", "/healthz", endpoints.healthz, "whether the server answers", schema="Health", is_open=True),
    Route("GET", "/readyz", health.readyz,
          "whether archives can be read and written, every collector flushes, and there is space",
          schema="Readiness", fails_as="Readiness"),
    Route("GET", "/status/", health.status, "what was lost in the last minutes", schema="Status"),
    Route("GET", "/metrics", endpoints.metrics, "all counters and sizes, as Prometheus reads them", schema="Metrics",
          media_type=metrics.MEDIA_TYPE),
    Route("GET", "/openapi.json", endpoints.openapi, "this description", schema="Description"),
)  # fmt: skip


def find(path: str) -> list[tuple[Route, dict[str, str]]]:
    """Return the routes that `path` is of, each with what stands in the braces of its template."""
    matches = ((route, route.match(path)) for route in _BY_HEAD.get(_head(path), ()))
    return [(route, found) for route, found in matches if found is not None]


def _head(path: str) -> str:
    return path[1:].partition("/")[0]


# No template begins with a brace. To try them all took 40 µs, several times a request.
_BY_HEAD = {
    _head(route.template): [each for each in ROUTES if _head(each.template) == _head(route.template)]
    for route in ROUTES
}
