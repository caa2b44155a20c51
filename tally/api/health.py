"""How tally is: what the collectors' status files say together, and whether everything is as it should be."""

import shutil
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tally.api import faults
from tally.api.message import Reply, whole
from tally.api.route import Call
from tally.engine.catalog import Catalog
from tally.settings import Settings
from tally.status import read_all

# A collector is silent when it has not flushed for so many flush times and so many seconds more.
SILENT_FLUSHES, SILENT_S = 3, 10
FREE_MIN_BYTES = 100 * 2**20

Status = Mapping[str, Any]


class Check(NamedTuple):
    """One thing that was looked at: whether it is as it should be, and what was found."""

    ok: bool
    detail: str


def status(call: Call) -> Reply:
    """Answer what was lost lately, and whether a collector is at work; reads no archive."""
    pretty = call.pretty()
    told = together(read_all(call.settings.data_dir, call.now), call.now)
    errors = {slug: call.public(error) for slug, error in told["errors"].items()}
    found = [fault._replace(detail=call.public(fault.detail)) for fault in faults.of_archives(call.catalog)]
    return whole({**told, "errors": errors, "faults": [fault._asdict() for fault in found]}, pretty=pretty)


def readyz(call: Call) -> Reply:
    """Answer whether all archives can be read, a collector flushes and there is space, with 503 where not."""
    pretty = call.pretty()
    checks = {
        "archives": _archives(call.catalog),
        "collector": _collector(call.settings, call.now),
        "space": _space(call.settings),
    }
    ready = all(check.ok for check in checks.values())
    shown = {key: {"ok": check.ok, "detail": call.public(check.detail)} for key, check in checks.items()}
    told = {"status": "ready" if ready else "not ready", "checks": shown}
    return whole(told, status=200 if ready else 503, pretty=pretty)


def is_silent(status: Status, now: float) -> bool:
    """Return whether a collector has ended, or has not flushed when it should have."""
    return (
        bool(status["ended"])
        or now - float(status["updated"]) > SILENT_FLUSHES * float(status["flush_time"]) + SILENT_S
    )


def together(statuses: Iterable[Status], now: float) -> dict[str, Any]:
    """Return what all collectors that are not silent say: losses within the window, what waits, and errors by slug."""
    heard = [status for status in statuses if not is_silent(status, now)]
    recent = [status["recent"] for status in heard]
    accounts = [account for status in heard for account in status["archives"].items()]
    return {
        "collectors": len(heard),
        "updated": max((status["updated"] for status in heard), default=None),
        "window": max((each["seconds"] for each in recent), default=None),
        "lines": _sum(each["lines"] for each in recent),
        "empty": sum(status["empty"] for status in heard),
        "datagrams": _sum(each["datagrams"] for each in recent),
        "connections": _sum(each["connections"] for each in recent),
        "samples": _sum(each["samples"] for each in recent),
        "pending": sum(account["pending"] for _, account in accounts),
        "errors": {slug: account["error"] for slug, account in accounts if account["error"]},
    }


def _sum(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums by key, of mappings that hold numbers or again such mappings."""
    total: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            total[key] = _sum((total.get(key, {}), value)) if isinstance(value, Mapping) else total.get(key, 0) + value
    return total


def _archives(catalog: Catalog) -> Check:
    found = list(faults.of_archives(catalog, read=True))
    return Check(not found, "; ".join(fault.detail for fault in found) or f"{len(catalog.slugs())} can be read")


def _collector(settings: Settings, now: float) -> Check:
    if not settings.host:
        return Check(True, "none is needed: TALLY_HOST is empty, and clients write into the archives themselves")
    statuses = read_all(settings.data_dir, now)
    if not statuses:
        return Check(False, f"none writes its status into {settings.data_dir}: start tally serve or tally collect")
    ago = now - max(float(status["updated"]) for status in statuses)
    return Check(not all(is_silent(status, now) for status in statuses), f"the last flush was {ago:.1f} s ago")


def _space(settings: Settings) -> Check:
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return Check(False, f"{settings.data_dir}: {error.strerror}")
    return Check(free >= FREE_MIN_BYTES, f"{free} bytes are free of the {FREE_MIN_BYTES} that should be")
