"""`POST /samples/`: lines in a request's body, answered once they are committed.

Each archive takes the samples of a body in one transaction, all or none. There is no transaction over several files, so
where some archives have them and one does not, the answer is an error that says which. A delivery that has a key may
then come again as a whole: an archive that has it stores nothing, and the others take the same samples as the first
ones did, as lines are judged by the second in which the delivery was first received.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from tally.api.content import content
from tally.api.message import Reply, whole
from tally.api.posted import ACCEPTED
from tally.api.problems import Problem, problem
from tally.api.route import Call
from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.commit import Outcome
from tally.engine.definition import Definition
from tally.engine.delivery import KEY_MAX, Delivery, Receipt
from tally.engine.rollup import Cells, Rollup, count
from tally.errors import ArchiveUnavailable, NotAnArchive, TallyError, UnknownArchive
from tally.wire import DATAGRAM_MAX_BYTES, Reason, parse_line

MAX_LINES = 100_000
KEY = re.compile(rf"[!-~]{{1,{KEY_MAX}}}")
LENGTH = "length"
REASONS = (LENGTH, Reason.ENCODING, Reason.FIELDS, Reason.NAME, Reason.VALUE, Reason.TIMESTAMP, Reason.FUTURE)


class Target(NamedTuple):
    """An archive that takes samples, and what it knows of the delivery that they come in."""

    archive: Archive
    definition: Definition
    receipt: Receipt | None


class Targets(NamedTuple):
    """The archives that take samples, and by slug the errors of files that may be archives and cannot be read."""

    found: list[Target]
    errors: dict[str, str]


class Lines(NamedTuple):
    """The lines of a body: the samples in them, how many lines these are, and each other one's number and reason."""

    cells: Cells
    accepted: int
    rejected: list[tuple[int, str]]


class Result(NamedTuple):
    """What became of the samples of a body, by slug, the errors of the other archives, and how many matched none."""

    outcomes: dict[str, Outcome]
    errors: list[TallyError]
    unmatched: int

    @property
    def done(self) -> list[str]:
        """The archives that samples came to."""
        return [slug for slug, outcome in self.outcomes.items() if outcome != Outcome()]


def post(call: Call) -> Reply:
    """Store the samples of a request's body.

    :raises Problem: when an archive cannot be written, after the others have their samples; and as `content`.
    :raises TallyError: as `find_targets`.
    """
    pretty = call.pretty()
    body = _lines_of(content(call.request, call.route.max_body_bytes))
    delivery = _delivery(call, body)
    targets = find_targets(call.catalog, delivery)
    seconds = [target.receipt.second for target in targets.found if target.receipt]
    now = min(seconds, default=int(call.now))
    resolution = math.gcd(*(target.definition.resolution for target in targets.found))
    lines = judge(body, now, resolution=resolution, max_future_s=call.settings.max_future)
    result = _commit(call, targets.found, lines.cells, delivery and delivery._replace(second=now))
    _count(call, targets.found, lines, result)
    if result.errors:
        raise _incomplete(result, delivery)
    return whole(_told(lines, targets, result), pretty=pretty)


def find_targets(catalog: Catalog, delivery: Delivery | None) -> Targets:
    """Return the archives that take samples.

    A file that is no archive, or a damaged one, takes none, and is told. One that cannot be used now may want them: it
    is an error, before anything is stored.

    :raises ArchiveUnavailable: also when no archive takes samples.
    :raises KeyReused: when an archive has another delivery under the same key.
    """
    targets = Targets([], {})
    for archive in catalog.archives():
        try:
            definition = archive.definition()
            if definition.enabled:
                receipt = archive.receipt(delivery) if delivery else None
                targets.found.append(Target(archive, definition, receipt))
        except UnknownArchive:
            continue  # It was deleted since the directory was read.
        except NotAnArchive as error:
            targets.errors[archive.slug] = str(error)
    if not targets.found:
        raise ArchiveUnavailable("no archive takes samples now: create one, or enable one")
    return targets


def judge(lines: Iterable[bytes], now: int, *, resolution: int, max_future_s: int) -> Lines:
    """Return what is in lines that are received in the second `now`; empty ones are numbered and no more."""
    rollup = Rollup(resolution)
    rejected = []
    for number, line in enumerate(lines, 1):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        found = LENGTH if len(line) > DATAGRAM_MAX_BYTES else parse_line(line, now, max_future_s)
        if isinstance(found, str):
            rejected.append((number, str(found)))
        else:
            rollup.add_sample(found)
    return Lines(rollup.take(), rollup.accepted, rejected)


def _lines_of(body: bytes) -> list[bytes]:
    body = body.removesuffix(b"\n")
    if body.count(b"\n") >= MAX_LINES:
        text = f"the body has more than {MAX_LINES} lines: send it in parts"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    return body.split(b"\n")


def _delivery(call: Call, lines: list[bytes]) -> Delivery | None:
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        text = f"Idempotency-Key {key!r:.100} is not a key: use 1 to {KEY_MAX} printable characters of ASCII, no space"
        raise Problem(HTTPStatus.BAD_REQUEST, text)
    return Delivery(key, hashlib.sha256(b"\n".join(lines)).digest(), int(call.now))


def _commit(call: Call, targets: list[Target], cells: Cells, delivery: Delivery | None) -> Result:
    """Commit to each archive what matches, and return what became of it: one that fails does not keep the others."""
    selected = {archive.slug: glob.select(cells, definition.pattern) for archive, definition, _ in targets}
    result = Result({}, [], count(glob.unmatched(cells, selected.values())))
    now = call.catalog.now()
    for archive, _, _ in targets:
        matching = selected[archive.slug]
        try:
            result.outcomes[archive.slug] = (
                archive.commit(matching, now=now, max_names=call.settings.max_names, delivery=delivery)
                if matching
                else Outcome()
            )
        except TallyError as error:
            result.errors.append(error)
    return result


def _incomplete(result: Result, delivery: Delivery | None) -> Problem:
    """Return the problem that tells what went wrong, which archives have their samples, and what to do about it."""
    done = ", ".join(result.done)
    if not done:
        advice = "nothing is stored: send it again"
    elif delivery:
        advice = f"stored in {done}: send it again under the same key, and nothing is counted twice"
    else:
        advice = f"stored in {done}, where it would count twice if it came again: give an Idempotency-Key the next time"
    status = problem(result.errors[0]).status
    headers = (("Retry-After", "1"),) if status == HTTPStatus.SERVICE_UNAVAILABLE else ()
    return Problem(status, f"{'; '.join(map(str, result.errors))}; {advice}", headers=headers)


def _count(call: Call, targets: list[Target], lines: Lines, result: Result) -> None:
    """Count what was not counted when it came before."""
    known = {target.archive.slug for target in targets if target.receipt}
    counted: Counter[str] = Counter()
    if not known and (result.done or not result.errors):
        counted = Counter({ACCEPTED: lines.accepted, Reason.UNMATCHED: result.unmatched})
        counted += Counter(reason for _, reason in lines.rejected)
    call.metrics.posted.count(counted, {slug: each for slug, each in result.outcomes.items() if slug not in known})


def _told(lines: Lines, targets: Targets, result: Result) -> dict[str, Any]:
    archives = {slug: outcome.counts() for slug, outcome in result.outcomes.items()}
    errors = {slug: {"error": error} for slug, error in targets.errors.items()}
    return {
        "accepted": lines.accepted,
        "rejected": [{"line": number, "reason": reason} for number, reason in lines.rejected],
        "unmatched": result.unmatched,
        "archives": dict(sorted((archives | errors).items())),
    }
