"""How tally is: what the collectors say together, and whether everything is as it should be."""

import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from tally.api import faults
from tally.api.faults import Fault, Statuses, is_silent, working
from tally.api.message import Reply, whole
from tally.api.route import Call
from tally.engine.files.disk import format_free_space
from tally.errors import TallyError

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
    is_ready = all(fault.check in faults.DEGRADING for fault in found)
    told = {"status": "not ready" if not is_ready else "degraded" if found else "ready", "checks": checks}
    return whole(told, status=200 if is_ready else 503, pretty=call.is_pretty)


def _faults(call: Call, statuses: Statuses, *, read: bool = False) -> list[Fault]:
    """Return what is wrong; of an archive that cannot be read, or is damaged, not also that it is not written."""
    found = list(faults.of_archives(call.catalog, read=read))
    others = set(_slugs(call)) - {fault.archive for fault in found if fault.check == "archives"}
    return [
        *found,
        *faults.of_writing(statuses, others, call.now),
        *faults.of_collectors(statuses, call.settings, call.now),
        *faults.of_space(call.settings),
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
