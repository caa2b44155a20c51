"""How tally is: what the collectors say together, and whether everything is as it should be."""

import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tally.api.message import Reply, whole
from tally.api.route import Call
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.files.disk import FREE_MIN_BYTES, format_free_space, format_size
from tally.engine.files.status import Status, is_running
from tally.errors import TallyError, UnknownArchive
from tally.settings import Settings

ADVICE = "nothing is written to it until it is restored from a backup or a check finds it sound"

# A collector is silent when it has not flushed for so many flush times and so many seconds more.
SILENT_FLUSHES, SILENT_S = 3, 10
# An archive should take what comes for it within so many flush times, and so many seconds more while one is at work.
LATE_FLUSHES, LATE_S = 3, 2

# What does not keep tally from its work: `/readyz` is degraded, and still 200.
DEGRADING = ("logs", "names")

Statuses = list[tuple[str, Status]]


class Fault(NamedTuple):
    """One thing that is wrong: the check of `/readyz` that it fails, the slug of its archive if any, and a sentence."""

    check: str
    archive: str | None
    detail: str


NO_COLLECTOR = "none is needed: TALLY_HOST is empty, and clients write into the archives themselves"


def status(call: Call) -> Reply:
    """Answer what was lost lately, what waits, and what is not as it should be; reads no archive."""
    statuses = call.books.read(call.now)
    told = together(statuses, call.now)
    errors = {slug: call.public(error) for slug, error in told["errors"].items()}
    found = [fault._replace(detail=call.public(fault.detail)) for fault in _faults(call, statuses)]
    return whole({**told, "errors": errors, "faults": [fault._asdict() for fault in found]}, pretty=call.is_pretty)


def readyz(call: Call) -> Reply:
    """Answer whether archives can be read and written, every collector flushes and there is space, with 503 else.

    What is wrong beside that degrades it: 200.
    """
    statuses = call.books.read(call.now)
    found = _faults(call, statuses, read=True)
    checks = {}
    for name, sound in _sound(call, statuses).items():
        wrong = [fault.detail for fault in found if fault.check == name]
        checks[name] = {"ok": not wrong, "detail": call.public("; ".join(wrong) or sound)}
    is_ready = all(fault.check in DEGRADING for fault in found)
    told = {"status": "not ready" if not is_ready else "degraded" if found else "ready", "checks": checks}
    return whole(told, status=200 if is_ready else 503, pretty=call.is_pretty)


def _faults(call: Call, statuses: Statuses, *, read: bool = False) -> list[Fault]:
    """Return what is wrong; of an archive that cannot be read, or is damaged, not also that it is not written."""
    found = list(_of_archives(call.catalog, read=read))
    others = set(_slugs(call)) - {fault.archive for fault in found if fault.check == "archives"}
    return [
        *found,
        *_of_writing(statuses, others, call.now),
        *_of_collectors(statuses, call.settings, call.now),
        *_of_space(call.settings),
    ]


def _sound(call: Call, statuses: Statuses) -> dict[str, str]:
    """Return what each check tells where nothing is wrong."""
    return {
        "archives": f"{len(_slugs(call))} can be read",
        "writing": "no archive fails to be written",
        "collector": _flushes(working(statuses, call.now), call.now) if call.settings.host else NO_COLLECTOR,
        "space": _free(call),
        "logs": "no log beside an archive is kept from being emptied",
        "names": "each archive has one name",
    }


def _flushes(statuses: Statuses, now: float) -> str:
    """Return how long ago the slowest collector flushed."""
    last = max((now - status["updated"] for _, status in statuses), default=0.0)
    if len(statuses) < 2:
        return f"the last flush was {last:.1f} s ago"
    return f"the slowest of {len(statuses)} collectors flushed {last:.1f} s ago"


def _free(call: Call) -> str:
    try:
        return format_free_space(shutil.disk_usage(call.settings.data_dir).free)
    except OSError:
        return ""  # That is a fault, which is told.


def _slugs(call: Call) -> list[str]:
    try:
        return call.catalog.slugs()
    except TallyError:
        return []  # That is a fault, which is told.


def together(statuses: Statuses, now: float) -> dict[str, Any]:
    """Return what all collectors that are not silent say: losses within the window, what waits, and errors by slug."""
    heard = [status for _, status in statuses if not is_silent(status, now)]
    recent = [status["recent"] for status in heard]
    accounts = [account for status in heard for account in status["archives"].items()]
    return {
        "collectors": len(heard),
        "updated": max((status["updated"] for status in heard), default=None),
        "flushes": {identity: _flush(status, now) for identity, status in working(statuses, now)},
        "window": max((each["seconds"] for each in recent), default=None),
        "lines": _sum(each["lines"] for each in recent),
        "empty": sum(status["empty"] for status in heard),
        "datagrams": _sum(each["datagrams"] for each in recent),
        "connections": _sum(each["connections"] for each in recent),
        "samples": _sum(each["samples"] for each in recent),
        "pending": sum(account["pending"] for _, account in accounts),
        "waiting": max((status["waiting"] for status in heard if status["waiting"] is not None), default=None),
        "errors": {slug: account["error"] for slug, account in accounts if account["error"]},
    }


def _flush(status: dict[str, Any], now: float) -> dict[str, Any]:
    """Return when a collector flushed last, and how old what is known of it is."""
    return {
        "updated": status["updated"],
        "ago": now - status["updated"],
        "silent": is_silent(status, now),
        "waiting": status["waiting"],
        "stale": status["stale"],
    }


def _sum(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums by key, of mappings that hold numbers or again such mappings."""
    total: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            total[key] = _sum((total.get(key, {}), value)) if isinstance(value, Mapping) else total.get(key, 0) + value
    return total


def _of_archives(catalog: Catalog, *, read: bool = False) -> Iterator[Fault]:
    """Yield what is wrong with archives: what is known already, and with `read` also which cannot be opened now."""
    try:
        listing = catalog.listing()
    except TallyError as error:
        yield Fault("archives", None, str(error))
        return
    yield from (Fault("archives", slug, f"{slug}.db is {what}, and no file") for slug, what in listing.others.items())
    yield from (Fault("names", slug, further_name(slug, first)) for slug, first in listing.aliases.items())
    for archive in catalog.archives():
        unreadable = _unreadable(archive) if read else None
        if damage := archive.damage():
            yield Fault("archives", archive.slug, f"{archive.slug} is damaged: {damage}; {ADVICE}")
        elif unreadable:
            yield Fault("archives", archive.slug, unreadable)
        if size_bytes := archive.held_log_bytes():
            yield Fault("logs", archive.slug, held_log(archive.slug, size_bytes))


def further_name(slug: str, first: str) -> str:
    """Return what is wrong with a further name of an archive's file."""
    return f"{slug}.db is another name of the file {first}.db: it is neither served nor written; remove it"


def held_log(slug: str, size_bytes: int) -> str:
    """Return what is wrong with a log that cannot be emptied."""
    log = f"{slug}.db-wal has {format_size(size_bytes)} and cannot be emptied"
    return f"{log}: a program began to read {slug}.db and does not end that transaction"


def _unreadable(archive: Archive) -> str | None:
    try:
        archive.definition()
    except UnknownArchive:
        return None  # It was deleted since the directory was read.
    except TallyError as error:
        return str(error)
    return None


def is_silent(status: Status, now: float) -> bool:
    """Return whether a collector has ended, or has not flushed when it should have."""
    return bool(status["ended"]) or now - status["updated"] > SILENT_FLUSHES * status["flush_time"] + SILENT_S


def working(statuses: Statuses, now: float) -> Statuses:
    """Return the collectors that are at work or should be: their process is there, or they are not silent."""
    return [
        (identity, status)
        for identity, status in statuses
        if not status["ended"] and (not is_silent(status, now) or is_running(status))
    ]


def _of_collectors(statuses: Statuses, settings: Settings, now: float) -> Iterator[Fault]:
    """Yield which collector does not flush, of those that should; and that there is none, where one is needed."""
    if not settings.host:
        return
    at_work = working(statuses, now)
    for identity, status in at_work:
        if is_silent(status, now):
            who = f"collector {identity} (process {status['process']['id']})"
            yield Fault("collector", None, f"{who} has not flushed for {now - status['updated']:.1f} s")
    if not at_work and statuses:
        last = min(now - status["updated"] for _, status in statuses)
        yield Fault("collector", None, f"no collector is at work: the last flush was {last:.1f} s ago")
    elif not at_work:
        text = f"no collector is at work: none writes its status into {settings.data_dir}; start tally serve or collect"
        yield Fault("collector", None, text)


def _of_writing(statuses: Statuses, slugs: Container[str], now: float) -> Iterator[Fault]:
    """Yield which of the archives `slugs` have not been written for longer than a few flushes take, and why."""
    late: dict[str, str] = {}
    for _, status in working(statuses, now):
        failing_s = LATE_FLUSHES * status["flush_time"]
        for slug, account in status["archives"].items():
            if slug in slugs and account["error"] and (account["failing"] or 0) > failing_s:
                late[slug] = _unwritten(slug, account)
    yield from (Fault("writing", slug, text) for slug, text in sorted(late.items()))
    waiting = [
        status["waiting"]
        for _, status in working(statuses, now)
        if status["waiting"] is not None and status["waiting"] > LATE_FLUSHES * status["flush_time"] + LATE_S
    ]
    if waiting and not late:
        yield Fault("writing", None, f"samples have waited for {max(waiting):.0f} s to be written")


def _unwritten(slug: str, account: dict[str, Any]) -> str:
    waiting = f"; {account['pending']} samples wait in memory" if account["pending"] else ""
    return f"{slug} has not been written for {account['failing']:.0f} s: {account['error']}{waiting}"


def _of_space(settings: Settings) -> Iterator[Fault]:
    """Yield that there is too little space, or that it cannot be known."""
    try:
        free_bytes = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        yield Fault("space", None, f"{settings.data_dir}: {error.strerror}")
        return
    if free_bytes < FREE_MIN_BYTES:
        yield Fault("space", None, format_free_space(free_bytes))
