"""The one table of routes: what is dispatched, what `/openapi.json` tells and what docs/http.md describes."""

from tally.api import endpoints
from tally.api.route import Route

READ, POST, PATCH, DELETE = ("GET", "HEAD"), ("POST",), ("PATCH",), ("DELETE",)

_BUCKETS = "every bucket of the range in time order, null where there is no data"

ROUTES = (
    Route(READ, "/values/{slug}/", endpoints.values, "All aggregates by name and time", "values",
          "name → time → all aggregates", "values"),
    Route(READ, "/values/{slug}/{part}/", endpoints.values, "All aggregates in an order, or one by name and time",
          "values", "bytime or an aggregate: name → time; byname: time → name", "values_part"),
    Route(READ, "/values/{slug}/{part}/{order}/", endpoints.values, "One aggregate in an order", "values",
          "bytime: name → time → that aggregate; byname: time → name → that aggregate", "values_aggregate"),
    Route(READ, "/aggregate/{slug}/", endpoints.aggregate, "All aggregates over the matching names, by time",
          "aggregate", "time → all aggregates", "aggregate"),
    Route(READ, "/aggregate/{slug}/{part}/", endpoints.aggregate,
          "All aggregates by time or by name, or one by time", "aggregate",
          "bytime or an aggregate: over the names, by time; byname: over the range, by name", "aggregate_part"),
    Route(READ, "/aggregate/{slug}/{part}/{order}/", endpoints.aggregate, "One aggregate by time or by name",
          "aggregate", "bytime: time → that aggregate; byname: name → that aggregate, highest first",
          "aggregate_aggregate"),
    Route(READ, "/timedata/{slug}/", endpoints.timedata, "All aggregates over the matching names, gaps included",
          "timedata", _BUCKETS, "timedata"),
    Route(READ, "/timedata/{slug}/{aggregate}/", endpoints.timedata,
          "One aggregate over the matching names, gaps included", "timedata", _BUCKETS, "timedata_aggregate"),
    Route(READ, "/names/{slug}/", endpoints.names, "The metric names", "names", "names in byte order", "texts"),
    Route(READ, "/patterns/{slug}/", endpoints.patterns, "Globs worth offering", "none",
          "globs of the names' leading parts", "texts"),
    Route(READ, "/archives/", endpoints.archives, "All archives", "none",
          "definitions by slug; a file that cannot be read has an error instead", "archives"),
    Route(POST, "/archives/", endpoints.create, "Make an archive", "none", "the new archive's definition", "archive",
          status=201),
    Route(READ, "/archives/{slug}/", endpoints.archive, "One archive", "none", "its definition", "archive"),
    Route(PATCH, "/archives/{slug}/", endpoints.edit, "Change an archive", "none", "the changed definition",
          "archive"),
    Route(DELETE, "/archives/{slug}/", endpoints.delete, "Delete an archive and its data", "none", "it is deleted",
          "", status=204),
    Route(READ, "/healthz", endpoints.healthz, "Whether the server answers", "none", "it does", "health", open=True),
    Route(READ, "/openapi.json", endpoints.openapi, "This document", "none", "an OpenAPI document", "openapi"),
)  # fmt: skip
