"""`/readyz` and `/status/`: the combined status of the collectors, and faults, found without reading any data."""

import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tally.api import alert_health, cluster_health
from tally.api.message import Reply, whole
from tally.api.route import Call
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.definition import AUTO
from tally.engine.files.disk import FREE_MIN_BYTES, format_free_space, format_size
from tally.engine.files.status import Status, is_running
from tally.errors import TallyError, UnknownArchive
from tally.settings import Settings

ADVICE = "nothing is written to it until it is restored from a backup or a check finds it sound"

# A collector is silent if it has not flushed for this many flush times plus this many seconds.
SILENT_FLUSHES, SILENT_S = 3, 10
# Samples are late if they have waited for this many flush times, plus this many seconds while a flush runs.
LATE_FLUSHES, LATE_S = 3, 2

# Checks whose faults make `/readyz` degraded; it still answers 200.
DEGRADING = ("logs", "names", "alerts", "cluster")

Statuses = list[tuple[str, Status]]


class Fault(NamedTuple):
    """A fault: the check of `/readyz` that fails, the slug of the archive if any, and a description."""

    check: str
    archive: str | None
    detail: str


NO_COLLECTOR = "none is needed: TALLY_HOST is empty, and clients write into the archives themselves"


def status(call: Call) -> Reply:
    """Answer recent losses, waiting samples, and faults. No archive is read."""
    statuses = call.books.read(call.now)
    combined = combine(statuses, call.now)
    errors = {slug: call.public(error) for slug, error in combined["errors"].items()}
    found = [fault._replace(detail=call.public(fault.detail)) for fault in _find_faults(call, statuses)]
    return whole({**combined, "errors": errors, "faults": [fault._asdict() for fault in found]}, pretty=call.is_pretty)


def readyz(call: Call) -> Reply:
    """Answer whether archives can be read and written, collectors flush and there is disk space; 503 if not."""
    statuses = call.books.read(call.now)
    found = _find_faults(call, statuses, read=True)
    checks = {}
    for name, detail in _passing(call, statuses).items():
        failures = [fault.detail for fault in found if fault.check == name]
        checks[name] = {"ok": not failures, "detail": call.public("; ".join(failures) or detail)}
    is_ready = all(fault.check in DEGRADING for fault in found)
    report = {"status": "not ready" if not is_ready else "degraded" if found else "ready", "checks": checks}
    return whole(report, status=200 if is_ready else 503, pretty=call.is_pretty)


def _find_faults(call: Call, statuses: Statuses, *, read: bool = False) -> list[Fault]:
    """Return the faults. An archive that is damaged or cannot be read is not also reported as not written."""
    found = list(_archive_faults(call.catalog, read=read))
    others = set(_slugs(call)) - {fault.archive for fault in found if fault.check == "archives"}
    return [
        *found,
        *_writing_faults(statuses, others, call.now),
        *_collector_faults(statuses, call.settings, call.now),
        *_space_faults(call.settings),
        *(Fault("alerts", None, text) for text in alert_health.find_faults(call.settings, call.now)),
        *_cluster_faults(call),
    ]


def _cluster_faults(call: Call) -> Iterator[Fault]:
    found = cluster_health.find_faults(call.settings, has_archives=bool(_slugs(call)), now=call.now)
    yield from (Fault("cluster", None, text) for text in found)


def _passing(call: Call, statuses: Statuses) -> dict[str, str]:
    """Return the details of all checks for the case that they pass."""
    return {
        "archives": f"{len(_slugs(call))} can be read",
        "writing": "no archive fails to be written",
        "collector": _describe_flushes(find_running(statuses, call.now), call.now)
        if call.settings.host
        else NO_COLLECTOR,
        "space": _describe_space(call),
        "logs": "no log beside an archive is kept from being emptied",
        "names": "each archive has one name",
        "alerts": alert_health.describe(call.settings),
        "cluster": cluster_health.describe(call.settings),
    }


def _describe_flushes(statuses: Statuses, now: float) -> str:
    """Return how long ago the slowest collector flushed."""
    last = max((now - status["updated"] for _, status in statuses), default=0.0)
    if len(statuses) < 2:
        return f"the last flush was {last:.1f} s ago"
    return f"the slowest of {len(statuses)} collectors flushed {last:.1f} s ago"


def _describe_space(call: Call) -> str:
    try:
        return format_free_space(shutil.disk_usage(call.settings.data_dir).free)
    except OSError:
        return ""  # This is reported as a fault.


def _slugs(call: Call) -> list[str]:
    try:
        return call.catalog.slugs()
    except TallyError:
        return []  # This is reported as a fault.


def combine(statuses: Statuses, now: float) -> dict[str, Any]:
    """Return the combined status of the collectors that are not silent: losses, waiting samples, and errors."""
    active = [status for _, status in statuses if not is_silent(status, now)]
    recent = [status["recent"] for status in active]
    accounts = [account for status in active for account in status["archives"].items()]
    return {
        "collectors": len(active),
        "updated": max((status["updated"] for status in active), default=None),
        "flushes": {identity: _flush(status, now) for identity, status in find_running(statuses, now)},
        "window": max((each["seconds"] for each in recent), default=None),
        "lines": _sum(each["lines"] for each in recent),
        "empty": sum(status["empty"] for status in active),
        "datagrams": _sum(each["datagrams"] for each in recent),
        "connections": _sum(each["connections"] for each in recent),
        "samples": _sum(each["samples"] for each in recent),
        "pending": sum(account["pending"] for _, account in accounts),
        "waiting": max((status["waiting"] for status in active if status["waiting"] is not None), default=None),
        "errors": {slug: account["error"] for slug, account in accounts if account["error"]},
    }


def _flush(status: dict[str, Any], now: float) -> dict[str, Any]:
    """Return when a collector flushed last, and the age of its status."""
    return {
        "updated": status["updated"],
        "ago": now - status["updated"],
        "silent": is_silent(status, now),
        "waiting": status["waiting"],
        "stale": status["stale"],
    }


def _sum(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums by key of mappings, which may be nested."""
    total: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            total[key] = _sum((total.get(key, {}), value)) if isinstance(value, Mapping) else total.get(key, 0) + value
    return total


def _archive_faults(catalog: Catalog, *, read: bool = False) -> Iterator[Fault]:
    """Yield the faults of archives that are already known. `read` also opens each archive."""
    try:
        listing = catalog.listing()
    except TallyError as error:
        yield Fault("archives", None, str(error))
        return
    yield from (Fault("archives", slug, f"{slug}.db is {what}, not a file") for slug, what in listing.others.items())
    yield from (Fault("names", slug, describe_alias(slug, first)) for slug, first in listing.aliases.items())
    if listing.has_auto:
        yield Fault("names", AUTO, AUTO_RESERVED)
    for archive in catalog.archives():
        unreadable = _read_error(archive) if read else None
        if damage := archive.damage():
            yield Fault("archives", archive.slug, f"{archive.slug} is damaged: {damage}; {ADVICE}")
        elif unreadable:
            yield Fault("archives", archive.slug, unreadable)
        if size_bytes := archive.held_log_bytes():
            yield Fault("logs", archive.slug, describe_held_log(archive.slug, size_bytes))


AUTO_RESERVED = (
    f"{AUTO}.db is neither served nor written: {AUTO} stands for the archive that fits a query best; rename the file"
)


def describe_alias(slug: str, first: str) -> str:
    """Describe the fault of a second name for an archive's file."""
    return f"{slug}.db is another name of the file {first}.db: it is neither served nor written; remove it"


def describe_held_log(slug: str, size_bytes: int) -> str:
    """Describe the fault of a write-ahead log that cannot be emptied."""
    log = f"{slug}.db-wal has {format_size(size_bytes)} and cannot be emptied"
    return f"{log}: a program began to read {slug}.db and does not end that transaction"


def _read_error(archive: Archive) -> str | None:
    try:
        archive.definition()
    except UnknownArchive:
        return None  # It was deleted after the directory was read.
    except TallyError as error:
        return str(error)
    return None


def is_silent(status: Status, now: float) -> bool:
    """Return whether a collector has ended, or has not flushed in time."""
    return bool(status["ended"]) or now - status["updated"] > SILENT_FLUSHES * status["flush_time"] + SILENT_S


def find_running(statuses: Statuses, now: float) -> Statuses:
    """Return the collectors that have not ended, and either run or have flushed recently."""
    return [
        (identity, status)
        for identity, status in statuses
        if not status["ended"] and (not is_silent(status, now) or is_running(status))
    ]


def _collector_faults(statuses: Statuses, settings: Settings, now: float) -> Iterator[Fault]:
    """Yield running collectors that do not flush, or that no collector runs although one is needed."""
    if not settings.host:
        return
    running = find_running(statuses, now)
    for identity, status in running:
        if is_silent(status, now):
            who = f"collector {identity} (process {status['process']['id']})"
            yield Fault("collector", None, f"{who} has not flushed for {now - status['updated']:.1f} s")
    if not running and statuses:
        last = min(now - status["updated"] for _, status in statuses)
        yield Fault("collector", None, f"no collector is at work: the last flush was {last:.1f} s ago")
    elif not running:
        text = f"no collector is at work: none writes its status into {settings.data_dir}; start tally serve or collect"
        yield Fault("collector", None, text)


def _writing_faults(statuses: Statuses, slugs: Container[str], now: float) -> Iterator[Fault]:
    """Yield the archives among `slugs` that have not been written for several flush times."""
    late: dict[str, str] = {}
    for _, status in find_running(statuses, now):
        failing_s = LATE_FLUSHES * status["flush_time"]
        for slug, account in status["archives"].items():
            if slug in slugs and account["error"] and (account["failing"] or 0) > failing_s:
                late[slug] = _describe_unwritten(slug, account)
    yield from (Fault("writing", slug, text) for slug, text in sorted(late.items()))
    waiting = [
        status["waiting"]
        for _, status in find_running(statuses, now)
        if status["waiting"] is not None and status["waiting"] > LATE_FLUSHES * status["flush_time"] + LATE_S
    ]
    if waiting and not late:
        yield Fault("writing", None, f"samples have waited for {max(waiting):.0f} s to be written")


def _describe_unwritten(slug: str, account: dict[str, Any]) -> str:
    waiting = f"; {account['pending']} samples wait in memory" if account["pending"] else ""
    return f"{slug} has not been written for {account['failing']:.0f} s: {account['error']}{waiting}"


def _space_faults(settings: Settings) -> Iterator[Fault]:
    """Yield that there is too little disk space, or that it cannot be determined."""
    try:
        free_bytes = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        yield Fault("space", None, f"{settings.data_dir}: {error.strerror}")
        return
    if free_bytes < FREE_MIN_BYTES:
        yield Fault("space", None, format_free_space(free_bytes))
