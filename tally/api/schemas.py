"""The schemas of parameters, bodies and answers in the OpenAPI document."""

from tally.api import alerts, events, graphite, influx, otlp, views
from tally.api.samples import REASONS
from tally.api.shapes import COUNT, FLAG, NUMBER, TEXT, Schema, array_of, map_of, object_of, reference
from tally.engine.asking.question import AGGREGATES, BINS, BINS_MAX, BINS_MIN, RELATIVE, WHOLE_MAX
from tally.engine.definition import AUTO, RESOLUTION_MAX_S, RETENTION_MAX_H, SLUG, TEXT_MAX
from tally.engine.sketch import LEVELS
from tally.lines.influx import PRECISIONS

TIME: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"anyOf": [{"type": "number", "minimum": 0, "maximum": WHOLE_MAX}, {"const": "now"},
                             {"type": "string", "pattern": f"^{RELATIVE.pattern}$"},
                             {"type": "string", "format": "date-time"}]}  # fmt: skip
_WHOLE: Schema = {"type": "integer", "minimum": 1, "maximum": WHOLE_MAX}
ARCHIVE_SLUG: Schema = {"type": "string", "pattern": f"^{SLUG.pattern}$"}
AUTO_MEANING = f"`{AUTO}` is the archive that fits the query best; the header Content-Location names it"
_PRINTABLE: Schema = {"type": "string", "maxLength": TEXT_MAX}

PARAMETER_SCHEMAS: dict[str, Schema] = {
    "q": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 1024}},
    "where": {"type": "array", "items": {"type": "string", "minLength": 2}},
    "source": {"type": "array", "items": {"type": "string", "minLength": 1}},
    "group": {"type": "string", "examples": ["node:1", "tag:env"]},
    **dict.fromkeys(("since", "until"), _MOMENT),
    **dict.fromkeys(("low", "high"), NUMBER),
    **dict.fromkeys(("step", "moving", "limit"), _WHOLE),
    "percentiles": {**TEXT, "pattern": r"^[0-9.]+(,[0-9.]+)*$"},
    "bins": {"type": "integer", "minimum": BINS_MIN, "maximum": BINS_MAX, "default": BINS},
    "fill": {"enum": ["null", "0", "previous"], "default": "null"},
    "format": {"enum": ["json", "rows", "csv", "parquet"], "default": "json"},
    "pretty": {**FLAG, "default": False},
    "dry_run": {**FLAG, "default": False},
    **events.PARAMETERS,
    "precision": {"enum": [*PRECISIONS], "default": "ns"},
}
PROPERTIES: dict[str, Schema] = {
    "name": {**_PRINTABLE, "description": "displayed name; default: the slug"},
    "description": {**_PRINTABLE, "description": "displayed description", "default": ""},
    "pattern": {**_PRINTABLE, "minLength": 1, "description": "glob that selects the kept metric names", "default": "*"},
    "resolution": {"type": "integer", "minimum": 1, "maximum": RESOLUTION_MAX_S, "default": 5,
                   "description": "seconds in a bucket; it can only change to a multiple, which merges stored buckets"},
    "retention": {"type": "integer", "minimum": 0, "maximum": RETENTION_MAX_H, "default": 24,
                  "description": "hours that buckets are kept; 0 keeps them for ever"},
    "enabled": {**FLAG, "description": "whether new samples are stored", "default": True},
    "percentiles": {"enum": [0, *LEVELS], "default": 0,
                    "description": "accuracy of percentiles in percent; 0: none"},
}  # fmt: skip
_STATUS: dict[str, Schema] = {
    "collectors": {**COUNT, "description": "number of running collectors"},
    "updated": {"type": ["number", "null"], "description": "end of the last flush; null without a collector"},
    "flushes": {
        **map_of(reference("schemas", "Flush")),
        "description": "the last flush of each collector that should be running",
    },
    "window": {"type": ["integer", "null"], "description": "period that the losses cover, in seconds"},
    "lines": {**map_of(COUNT), "description": "rejected lines by reason"},
    "empty": {**COUNT, "description": "lines without a measurement since the start; they are no loss"},
    "datagrams": {**map_of(COUNT), "description": "lost datagrams by reason"},
    "connections": {**map_of(COUNT), "description": "refused TCP and unix connections by reason"},
    "samples": {**map_of(map_of(COUNT)), "description": "samples that were not stored, by archive and outcome"},
    "pending": {**COUNT, "description": "samples that wait for the next flush"},
    "waiting": {"type": ["number", "null"], "description": "age of the oldest unstored sample in seconds"},
    "errors": {**map_of(TEXT), "description": "errors of archives that cannot be written, by slug"},
    "faults": {**array_of(reference("schemas", "Fault")), "description": "current problems"},
}
_AGGREGATES: dict[str, Schema] = dict.fromkeys(AGGREGATES, NUMBER)
# A name such as p95, and the pattern of such keys.
_PERCENTILE = r"^p(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)$"
AGGREGATE: Schema = {"anyOf": [{"enum": list(AGGREGATES)}, {**TEXT, "pattern": _PERCENTILE}]}
PERCENTILES: Schema = {"patternProperties": {_PERCENTILE: {"type": ["number", "null"]}}}
_ARCHIVE: dict[str, Schema] = {
    "slug": {**ARCHIVE_SLUG, "description": "name of the file without .db"},
    **PROPERTIES,
    "values_url": TEXT,
    "aggregate_url": TEXT,
    "first": {"type": ["integer", "null"], "description": "first stored bucket; null without data"},
    "last": {"type": ["integer", "null"], "description": "last stored bucket; null without data"},
    "bytes": {"type": "integer", "minimum": 0, "description": "size of the file"},
    "damaged": {**TEXT, "description": "damage that was found; absent if none was"},
}
_FROM: Schema = {
    **ARCHIVE_SLUG,
    "description": "the archive to fill it from; its pattern, resolution, retention and percentiles are the defaults",
}
_CHANGED: dict[str, Schema] = {"names": COUNT, "cells": {**COUNT, "description": "a cell is one name in one bucket"},
                               "samples": COUNT}  # fmt: skip
_OUTCOME = object_of({
    "stored": {**COUNT, "description": "samples that were stored"},
    "expired": {**COUNT, "description": "samples older than the retention"},
    "cardinality": {**COUNT, "description": "samples of new names beyond the limit of names"},
    "spilled": {**COUNT, "description": "samples that wait until the damaged archive is restored"},
}, required=["stored", "expired", "cardinality"])  # fmt: skip
_REJECTED = object_of({
    "line": {"type": "integer", "minimum": 1, "description": "number of the line, from 1"},
    "reason": {"enum": list(REASONS)},
})  # fmt: skip
_STORED: dict[str, Schema] = {
    "accepted": {**COUNT, "description": "lines that were accepted as samples"},
    "empty": {**COUNT, "description": "lines without a measurement"},
    "rejected": {**array_of(_REJECTED), "description": "rejected lines, in order"},
    "unmatched": {**COUNT, "description": "samples whose names no archive keeps"},
    "archives": {
        **map_of({"anyOf": [_OUTCOME, object_of({"error": {**TEXT, "description": "why it stored no samples"}})]}),
        "description": "outcomes of the samples, by slug",
    },
}
_PROBLEM: dict[str, Schema] = {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT}
_MESSAGE: Schema = {**TEXT, "description": "copy of the detail for Grafana, on Graphite's routes only"}
SCHEMAS: dict[str, Schema] = {
    "Aggregates": {**object_of(_AGGREGATES), **PERCENTILES},
    "Texts": array_of(TEXT),
    "Units": array_of(object_of({"archive": {"anyOf": [TEXT, {"type": "null"}]}, "glob": TEXT, "unit": TEXT})),
    "Archive": object_of(_ARCHIVE, required=[key for key in _ARCHIVE if key != "damaged"]),
    "Archives": array_of({"anyOf": [reference("schemas", "Archive"), reference("schemas", "Unreadable")]}),
    "Unreadable": object_of({"slug": ARCHIVE_SLUG, "error": {**TEXT, "description": "why it cannot be read"}}),
    "NewArchive": object_of({"slug": _ARCHIVE["slug"], "from": _FROM, **PROPERTIES}, required=["slug"]),
    "ArchiveChanges": object_of(PROPERTIES, required=[]),
    **dict.fromkeys(("Derived", "Removed"), object_of(_CHANGED)),
    "Renamed": object_of({**_CHANGED, "merged": {**COUNT, "description": "how many names fewer there are"}}),
    "Renaming": object_of({
        "glob": {**TEXT, "minLength": 1, "description": "the names: each * and ? is captured"},
        "template": {**TEXT, "description": "the new names: each * is what was captured at its place"},
    }),
    "Health": object_of({"status": {"const": "ok"}}),
    "Readiness": object_of({"status": {"enum": ["ready", "degraded", "not ready"]},
                          "checks": map_of(reference("schemas", "Check"))}),
    "Check": object_of({"ok": FLAG, "detail": TEXT}),
    "Status": object_of(_STATUS),
    "Flush": object_of({
        "updated": {**NUMBER, "description": "end of its last flush"},
        "ago": {**NUMBER, "description": "seconds since then"},
        "silent": {**FLAG, "description": "whether its next flush is overdue"},
        "waiting": {"type": ["number", "null"], "description": "age of its oldest unstored sample in seconds"},
        "stale": {**NUMBER, "description": "age of this status in seconds"},
    }),
    "Fault": object_of({
        "check": {**TEXT, "description": "check of /readyz that fails"},
        "archive": {"type": ["string", "null"], "description": "slug of the affected archive"},
        "detail": {**TEXT, "description": "description of the problem"},
    }),
    "Stored": object_of(_STORED),
    **graphite.SCHEMAS,
    **events.SCHEMAS,
    **alerts.SCHEMAS,
    **views.SCHEMAS,
    **influx.SCHEMAS,
    **otlp.SCHEMAS,
    "Metrics": TEXT,
    "File": {"description": "an SQLite database"},
    "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Problem": object_of({**_PROBLEM, "message": _MESSAGE}, required=_PROBLEM),
    "Refused": object_of({**_PROBLEM, **_STORED}),
    "PartlyStored": object_of({**_PROBLEM, **dict.fromkeys(("code", "message", "error"), TEXT),
                             **{name: schema for name, schema in _STORED.items() if name != "empty"}}),
}  # fmt: skip
