"""The table of routes. Starlette's and Django's routes and `/openapi.json` are made from it; the first match wins."""

from collections.abc import Callable, Mapping
from typing import Any

from tally.api import (
    alerts,
    endpoints,
    events,
    graphite,
    health,
    influx,
    metrics,
    otlp,
    pages,
    prometheus,
    samples,
    views,
)
from tally.api.message import MAX_SAMPLES_BYTES, Reply
from tally.api.route import Call, Route, Subject
from tally.engine.recovery.backup import MEDIA_TYPE
from tally.graphite.request import (
    COMPLETE_TAGS,
    COMPLETE_VALUES,
    EVENTS,
    EXPAND,
    FIND,
    FIND_SERIES,
    FUNCTIONS,
    INDEX,
    NOTHING,
    RENDER,
    TAG_VALUES,
    TAGS,
    Meaning,
)


def _data(template: str, kind: str, by: str, summary: str) -> Route:
    name = f"{kind}-by{by}" if template.endswith(f"/by{by}/") else kind
    return Route("GET", template, name, endpoints.ask, summary, Subject(kind, by), is_question=True)


def _page(template: str, name: str, endpoint: Callable[[Call], Reply], summary: str) -> Route:
    return Route("GET", template, name, endpoint, summary, takes=(), is_page=True)


def _graphite(template: str, name: str, endpoint: Callable[[Call], Reply], summary: str,
              fields: Mapping[str, Meaning], **more: Any) -> Route:  # fmt: skip
    return Route("GET", template, name, endpoint, summary, takes=tuple(fields), graphite=fields, **more)


def _form(*of_get: Any, **more: Any) -> tuple[Route, Route]:
    """Return two Graphite routes: for GET, and for POST with the parameters in a form."""
    get = _graphite(*of_get, **more)
    return get, Route("POST", get.template, get.name, get.endpoint, get.summary, takes=(), body="Form",
                      graphite=get.graphite, **more)  # fmt: skip


_POINTS: Any = {"takes": ("precision",), "ignores": influx.PLACES, "body": "Points", "status": 204,
                "max_body_bytes": MAX_SAMPLES_BYTES}  # fmt: skip
ROUTES = (
    _data("/values/{slug}/", "values", "time", "name → time → all aggregates"),
    _data("/values/{slug}/bytime/", "values", "time", "name → time → all aggregates"),
    _data("/values/{slug}/byname/", "values", "name", "time → name → all aggregates"),
    _data("/values/{slug}/{aggregate}/", "values", "time", "name → time → that aggregate"),
    _data("/values/{slug}/{aggregate}/bytime/", "values", "time", "name → time → that aggregate"),
    _data("/values/{slug}/{aggregate}/byname/", "values", "name", "time → name → that aggregate"),
    _data("/aggregate/{slug}/", "aggregate", "time", "time → all aggregates over the matching names"),
    _data("/aggregate/{slug}/bytime/", "aggregate", "time",
          "time → all aggregates over the matching names"),
    _data("/aggregate/{slug}/byname/", "aggregate", "name",
          "name → all aggregates over the time range"),
    _data("/aggregate/{slug}/bysource/", "aggregate", "source",
          "source → all aggregates over the time range, of a cluster"),
    _data("/aggregate/{slug}/{aggregate}/", "aggregate", "time", "time → that aggregate"),
    _data("/aggregate/{slug}/{aggregate}/bytime/", "aggregate", "time", "time → that aggregate"),
    _data("/aggregate/{slug}/{aggregate}/byname/", "aggregate", "name",
          "name → that aggregate, highest first, then by name"),
    _data("/aggregate/{slug}/{aggregate}/bysource/", "aggregate", "source",
          "source → that aggregate, highest first, then by source, of a cluster"),
    _data("/timedata/{slug}/", "timedata", "time",
          "time and all aggregates or null, for every bucket of the range"),
    _data("/timedata/{slug}/{aggregate}/", "timedata", "time",
          "time and that aggregate or null, for every bucket of the range"),
    _data("/histogram/{slug}/", "histogram", "time",
          "time → lower and upper end and count of the bins that have samples"),
    Route("GET", "/names/{slug}/", "names", endpoints.names, "the metric names",
          takes=("q", "where", "source", "pretty"), schema="Texts"),
    Route("GET", "/patterns/{slug}/", "patterns", endpoints.patterns, "globs worth offering", schema="Texts"),
    Route("GET", "/units/", "units", endpoints.units, "the units of metrics, for people", schema="Units"),
    Route("GET", "/archives/", "archives", endpoints.archives, "the archives by slug", schema="Archives"),
    Route("POST", "/archives/", "archives", endpoints.create, "create an archive", takes=("dry_run", "pretty"),
          schema="Archive", status=201, body="NewArchive"),
    Route("GET", "/archives/{slug}/", "archive", endpoints.archive, "one archive", schema="Archive"),
    Route("PATCH", "/archives/{slug}/", "archive", endpoints.edit, "change an archive", schema="Archive",
          body="ArchiveChanges"),
    Route("DELETE", "/archives/{slug}/", "archive", endpoints.delete, "delete an archive and its data",
          status=204),
    Route("GET", "/archives/{slug}/backup/", "backup", endpoints.backup,
          "a verified copy of an archive's file as it is now", schema="File", media_type=MEDIA_TYPE, is_private=True),
    Route("DELETE", "/names/{slug}/", "names", endpoints.remove_names, "remove names, or a range of their buckets",
          takes=("q", "since", "until", "dry_run", "pretty"), schema="Removed"),
    Route("POST", "/names/{slug}/rename", "rename", endpoints.rename_names, "rename names, and merge those that meet",
          takes=("dry_run", "pretty"), schema="Renamed", body="Renaming"),
    Route("POST", "/samples/", "samples", samples.post, "store the samples in the lines of the body", schema="Stored",
          body="Lines", max_body_bytes=MAX_SAMPLES_BYTES),
    Route("POST", "/write", "influx-write", influx.write, "store points of InfluxDB's line protocol", **_POINTS),
    Route("POST", "/api/v2/write", "influx-write-2", influx.write, "store points of InfluxDB's line protocol",
            **_POINTS),
    Route("POST", "/api/v1/write", "prometheus-write", prometheus.write, "store samples of Prometheus remote write 1.0",
          takes=(), status=204, body="WriteRequest", max_body_bytes=MAX_SAMPLES_BYTES),
    Route("POST", "/v1/metrics", "otlp", otlp.export, "store the data points of OpenTelemetry's metrics", takes=(),
          body=otlp.BODY, schema="ExportMetricsServiceResponse", max_body_bytes=MAX_SAMPLES_BYTES),
    Route("POST", "/query", "influx-query", influx.query, "what InfluxDB's clients send before: CREATE DATABASE",
            takes=(), ignores=("q", *influx.PLACES, "epoch", "precision"), schema="InfluxResults", body=influx.QUERY),
    Route("GET", "/ping", "influx-ping", influx.ping, "whether the server answers, for InfluxDB's clients", takes=(),
          ignores=("wait_for_leader", "verbose"), status=204, is_open=True),
    Route("GET", "/health", "influx-health", influx.health, "whether the server answers, for InfluxDB's clients",
          schema="InfluxHealth", is_open=True),
    *_form("/render", "render", graphite.render, "the series of targets", RENDER, schema="Rendered",
           is_question=True),
    *_form("/metrics/find", "find", graphite.find, "the nodes of the tree that a pattern matches", FIND,
           schema="Found", is_question=True),
    *_form("/metrics/expand", "expand", graphite.expand, "the paths that patterns match", EXPAND, schema="Expanded",
           is_question=True),
    _graphite("/metrics/index.json", "index", graphite.index, "the paths of all metrics", INDEX, schema="Texts",
              is_question=True),
    _graphite("/functions", "functions", graphite.functions, "the functions that targets may call", FUNCTIONS,
              schema="Functions"),
    _graphite("/version", "version", graphite.version, "the version of Graphite whose API this is", NOTHING,
              schema="Version", media_type=graphite.TEXT),
    _graphite("/tags", "tags", graphite.tags, "the tags of all names", TAGS, schema="Tags", is_question=True),
    *_form("/tags/findSeries", "find-series", graphite.find_series, "the names that match tag expressions",
           FIND_SERIES, schema="Texts", is_question=True),
    *_form("/tags/autoComplete/tags", "complete-tags", graphite.complete_tags, "tags that begin with a text",
           COMPLETE_TAGS, schema="Texts", is_question=True),
    *_form("/tags/autoComplete/values", "complete-values", graphite.complete_values,
           "values of a tag that begin with a text", COMPLETE_VALUES, schema="Texts", is_question=True),
    _graphite("/tags/{tag}", "tag", graphite.tag_values, "the values of a tag, and how many names have each",
              TAG_VALUES, schema="TagValues", is_question=True),
    Route("GET", "/views/", "views", views.find, "the saved views of the dashboard", schema="Views"),
    Route("POST", "/views/", "views", views.save, "save a view of the dashboard", schema="View", body="NewView"),
    Route("DELETE", "/views/", "views", views.delete, "delete a saved view", takes=("id", "pretty"), status=204),
    Route("GET", "/events/", "events", events.find, "the events that overlap a range",
          takes=("since", "until", "tags", "pretty"), schema="Events"),
    Route("POST", "/events/", "events", events.add, "store an event", schema="Event", body="NewEvent"),
    *_form("/events/get_data", "events-graphite", events.graphite, "the events of a range, as Graphite answers them",
           EVENTS, schema="GraphiteEvents"),
    Route("GET", "/alerts/", "alerts", alerts.show, "the rules, states and silences of alerts", schema="Alerts"),
    Route("POST", "/alerts/silences/", "silences", alerts.silence, "silence rules for a time", schema="Silence",
          body="NewSilence"),
    Route("DELETE", "/alerts/silences/", "silences", alerts.end_silence, "end a silence", takes=("id", "pretty"),
          status=204),
    _page("/", "dashboard", pages.auto, "the dashboard: the archive that fits the range best"),
    _page("/archive/", "dashboard-archives", pages.overview, "the dashboard: all archives"),
    _page("/archive/{slug}/", "dashboard-archive", pages.archive, "the dashboard: one archive"),
    _page("/dashboard/{file}", "dashboard-file", pages.file, "the dashboard's scripts, styles and icon"),
    Route("GET", "/healthz", "healthz", endpoints.healthz, "whether the server answers", schema="Health",
          is_open=True),
    Route("GET", "/readyz", "readyz", health.readyz,
          "whether archives can be read and written, every collector flushes, and there is space",
          schema="Readiness", fails_as="Readiness"),
    Route("GET", "/status/", "status", health.status, "what was lost in the last minutes", schema="Status"),
    Route("GET", "/metrics", "metrics", endpoints.metrics, "all counters and sizes, as Prometheus reads them",
          schema="Metrics", media_type=metrics.MEDIA_TYPE),
    Route("GET", "/openapi.json", "openapi", endpoints.openapi, "this description", schema="Description"),
)  # fmt: skip

# The rows by the template of their path.
BY_PATH: dict[str, tuple[Route, ...]] = {
    path: tuple(route for route in ROUTES if path in route.paths)
    for path in dict.fromkeys(path for route in ROUTES for path in route.paths)
}
