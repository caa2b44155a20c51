"""`POST /samples/`, and what all routes that store samples share: commits the samples of a body, then answers.

Each archive commits the samples of a body in one transaction. There is no transaction across archives, so if one fails,
the answer is an error that names those that have the samples. A body with an Idempotency-Key can then be sent again.
Before any archive is written, the ledger of the catalog stores the second of receipt and the target archives. A retry
is then parsed as the first request was. Archives that have the delivery skip it; the others commit the same samples.

An archive that is deleted or disabled meanwhile is skipped. For a damaged archive the samples are spilled with their
key, and are committed once when it is restored.
"""

import hashlib
import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from tally.api.message import Reply, whole
from tally.api.metrics import ACCEPTED
from tally.api.parameters import check_lines, read_body
from tally.api.problems import Problem, problem, public
from tally.api.route import Call
from tally.engine import glob
from tally.engine.archive import Archive
from tally.engine.catalog import Catalog
from tally.engine.definition import Definition
from tally.engine.storing import spill
from tally.engine.storing.commit import Outcome, Rules
from tally.engine.storing.idempotency import KEY_MAX, Delivery, Receipt
from tally.engine.storing.ledger import Decision
from tally.engine.storing.merging import Cells, count
from tally.engine.storing.native_rollup import new_rollup
from tally.engine.storing.rollup import Rollup
from tally.engine.storing.spill import Batch
from tally.errors import ArchiveDamaged, ArchiveUnavailable, NotAnArchive, TallyError, UnknownArchive
from tally.lines.plain import Reason, bare

logger = logging.getLogger("tally.api")

MAX_LINES = 100_000
NONE_TAKES = "no archive takes samples now: create one, or enable one"
KEY = re.compile(rf"[!-~]{{1,{KEY_MAX}}}")
# The reasons that can occur for a posted line.
_NEVER = (Reason.EMPTY, Reason.CUT, Reason.PICKLE, Reason.UNMATCHED, Reason.UNSUPPORTED, Reason.REPEATED)
REASONS = tuple(reason for reason in Reason if reason not in _NEVER)


class Target(NamedTuple):
    """An enabled archive, and its receipt for the delivery if it already has one."""

    archive: Archive
    definition: Definition
    receipt: Receipt | None


class Targets(NamedTuple):
    """Enabled archives, damaged archives, and by slug the errors of files that are not archives."""

    found: list[Target]
    damaged: list[Archive]
    errors: dict[str, str]

    @property
    def slugs(self) -> tuple[str, ...]:
        """The slugs of all archives that receive samples."""
        return tuple(archive.slug for archive in (*(target.archive for target in self.found), *self.damaged))

    @property
    def resolution(self) -> int:
        """The longest bucket, in seconds, that divides the buckets of every archive."""
        return 1 if self.damaged else math.gcd(*(target.definition.resolution for target in self.found))

    @property
    def keep_sketches(self) -> bool:
        """Whether an archive keeps percentiles, or a damaged one may."""
        return bool(self.damaged) or any(target.definition.percentiles for target in self.found)

    def of(self, slugs: Collection[str]) -> "Targets":
        """Return the targets among `slugs`, or all if none of these still receives samples."""
        found = [target for target in self.found if target.archive.slug in slugs]
        damaged = [archive for archive in self.damaged if archive.slug in slugs]
        return self._replace(found=found, damaged=damaged) if found or damaged else self


class Lines(NamedTuple):
    """The parsed lines of a body: cells, numbers of accepted and empty lines, and rejected lines with reasons.

    `ignored` counts what is left out of accepted lines, by reason.
    """

    resolution: int
    cells: Cells
    accepted: int
    empty: int
    rejected: list[tuple[int, str]]
    ignored: Mapping[str, int]


class Parsing(Protocol):
    """Parses a body received in the second `now` into a rollup.

    Returns the numbers of the rejected lines with reasons, and counts by reason what is left out of accepted lines.
    """

    def __call__(self, rollup: Rollup, now: int, max_future_s: int) -> tuple[list[tuple[int, str]], Mapping[str, int]]:
        """Add the samples of the body to the rollup."""


class Result(NamedTuple):
    """The outcomes of a body by slug, the errors of other archives, and the number of unmatched samples."""

    outcomes: dict[str, Outcome]
    errors: list[TallyError]
    unmatched: int

    @property
    def done(self) -> list[str]:
        """The slugs of the archives that received samples."""
        return [slug for slug, outcome in self.outcomes.items() if outcome != Outcome()]


def post(call: Call) -> Reply:
    """Commit the samples in the lines of a request's body.

    :raises Problem: if every line was rejected; and as `check_lines`, `read_body`, `split_lines` and `store`.
    """
    check_lines(call.request)
    body = split_lines(read_body(call.request, call.route.max_body_bytes))
    lines, answer = store(call, b"\n".join(body), partial(add_lines, body))
    return _reply(lines, answer, pretty=call.is_pretty)


def store(call: Call, body: bytes, parsing: Parsing, *, key: str = "") -> tuple[Lines, Mapping[str, Any]]:
    """Commit the samples of a body, and return its lines and the part of the report that does not follow from them.

    `key` is the key of a body that comes without an Idempotency-Key.

    :raises Problem: if an archive cannot be written, after the others were.
    :raises TallyError: as `find_targets` and `Ledger`, before anything is stored.
    """
    delivery = _read_delivery(call, body, key)
    known = delivery and call.catalog.ledger.find(delivery, now=call.catalog.now())
    if known and known.answer:
        return parse(parsing, known.second, max_future_s=known.max_future_s), known.answer
    targets = find_targets(call.catalog, delivery)
    decision = _decide(call, targets, delivery)
    targets = targets.of(decision.archives)
    lines = parse(
        parsing,
        decision.second,
        max_future_s=decision.max_future_s,
        resolution=targets.resolution,
        sketched=targets.keep_sketches,
    )
    result = _commit(call, targets, lines, delivery and delivery._replace(second=decision.second))
    if not result.outcomes and not result.errors:
        raise ArchiveUnavailable(NONE_TAKES)
    answer = _answer(targets, result)
    if delivery is None or (not result.errors and _complete(call, delivery, answer)):
        _count(call, lines, result)
    if result.errors:
        raise _incomplete(result, delivery)
    return lines, answer


def find_targets(catalog: Catalog, delivery: Delivery | None) -> Targets:
    """Return the archives that take samples.

    A file that is no archive takes none, and is told. One that cannot be used now may want them: it is an error, before
    anything is stored.

    :raises ArchiveUnavailable: also when no archive takes samples.
    :raises KeyReused: when an archive has another delivery under the same key.
    """
    targets = Targets([], [], {})
    for archive in catalog.archives():
        try:
            definition = archive.definition()
            if definition.enabled:
                receipt = archive.receipt(delivery) if delivery else None
                targets.found.append(Target(archive, definition, receipt))
        except UnknownArchive:
            continue  # It was deleted after the directory was read.
        except ArchiveDamaged:
            targets.damaged.append(archive)
        except NotAnArchive as error:
            targets.errors[archive.slug] = public(str(error), catalog.directory)
    if not targets.slugs:
        raise ArchiveUnavailable(NONE_TAKES)
    return targets


def parse(parsing: Parsing, now: int, *, max_future_s: int, resolution: int = 1, sketched: bool = False) -> Lines:
    """Parse a body received in the second `now`.

    StatsD gauges start at 0, and sets are empty: nothing is kept from one body to the next.
    """
    rollup = new_rollup(resolution, max_future_s=max_future_s, sketched=sketched)
    rejected, ignored = parsing(rollup, now, max_future_s)
    return Lines(resolution, rollup.take(), rollup.accepted, rollup.empty, rejected, ignored)


def add_lines(
    lines: Iterable[bytes], rollup: Rollup, now: int, _max_future_s: int
) -> tuple[list[tuple[int, str]], Mapping[str, int]]:
    """Add lines to a rollup, as a Parsing. Blank lines only count for line numbers."""
    rejected = []
    for number, line in enumerate(map(bare, lines), 1):
        reason = rollup.add_line(line, now) if line else None
        if reason is not None and reason is not Reason.EMPTY:
            rejected.append((number, str(reason)))
    return rejected, {}


def split_lines(body: bytes) -> list[bytes]:
    """Return the lines of a body.

    :raises Problem: 413 if there are more than MAX_LINES.
    """
    check_count(body)
    return body.removesuffix(b"\n").split(b"\n")


def check_count(body: bytes) -> None:
    """Check the number of lines in a body.

    :raises Problem: 413 if there are more than MAX_LINES.
    """
    if body.count(b"\n") - body.endswith(b"\n") >= MAX_LINES:
        text = f"the body has more than {MAX_LINES} lines: send it in parts"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)


def list_rejected(lines: Lines) -> list[dict[str, Any]]:
    """Return the numbers of the rejected lines, each with its reason."""
    return [{"line": number, "reason": reason} for number, reason in lines.rejected]


def _read_delivery(call: Call, body: bytes, default: str) -> Delivery | None:
    key = call.request.headers.get("idempotency-key", default or None)
    if key is None:
        return None
    if not KEY.fullmatch(key):
        text = (
            f"Idempotency-Key {key!r:.100} is not a key: use 1 to {KEY_MAX} printable ASCII characters without spaces"
        )
        raise Problem(HTTPStatus.BAD_REQUEST, text)
    return Delivery(key, hashlib.sha256(body).digest(), int(call.now))


def _decide(call: Call, targets: Targets, delivery: Delivery | None) -> Decision:
    """Return the second of receipt and the target archives; for a key, those of its first request.

    If the ledger was lost, the receipts in the archives have the second.
    """
    seconds = [target.receipt.second for target in targets.found if target.receipt]
    decision = Decision(min(seconds, default=int(call.now)), call.settings.max_future, targets.slugs)
    return call.catalog.ledger.decide(delivery, decision, now=call.catalog.now()) if delivery else decision


def _commit(call: Call, targets: Targets, lines: Lines, delivery: Delivery | None) -> Result:
    """Commit matching cells to each archive. If an archive fails, the others are still committed.

    A damaged archive gets all cells, because its pattern is unknown until it is restored.
    """
    batches = [
        (target.archive, Batch(glob.select(lines.cells, target.definition.pattern), lines.resolution, delivery))
        for target in targets.found
    ]
    batches += [
        (archive, Batch(lines.cells, lines.resolution, delivery, is_selected=False)) for archive in targets.damaged
    ]
    outcomes: dict[str, Outcome] = {}
    errors: list[TallyError] = []
    matched: list[Cells] = []
    for archive, batch in batches:
        try:
            outcomes[archive.slug] = _store(call, archive, batch) if batch.cells else Outcome()
        except TallyError as error:
            if not _is_enabled(archive):
                continue
            errors.append(error)
        matched.append(batch.cells)
    return Result(outcomes, errors, count(glob.unmatched(lines.cells, matched)))


def _store(call: Call, archive: Archive, batch: Batch) -> Outcome:
    """Commit a batch, or spill it if the archive is damaged."""
    with suppress(ArchiveDamaged):
        if batch.is_selected:
            rules = Rules(call.catalog.now(), call.settings.max_names)
            return archive.merge(batch.cells, rules, delivery=batch.delivery)
    spill.append(archive.path, batch)
    return Outcome(spilled=count(batch.cells))


def _is_enabled(archive: Archive) -> bool:
    """Return whether an archive is enabled, or cannot be read."""
    try:
        return archive.definition().enabled
    except UnknownArchive:
        return False
    except TallyError:
        return True


def _complete(call: Call, delivery: Delivery, answer: Mapping[str, Any]) -> bool:
    """Store the answer in the ledger. Return whether this request was the first to complete its key."""
    try:
        return call.catalog.ledger.complete(delivery, answer)
    except TallyError as error:
        # Every archive has a receipt, so a retry still stores nothing twice.
        logger.warning("cannot store the answer for key %r: %s", delivery.key, error)
        return True


def _incomplete(result: Result, delivery: Delivery | None) -> Problem:
    """Return the problem with the errors, the archives that have the samples, and advice."""
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


def _count(call: Call, lines: Lines, result: Result) -> None:
    """Count samples, and lines unless no archive stored any: then the body may be sent again."""
    counted: Counter[str] = Counter()
    if result.done or not result.errors:
        counted = Counter({ACCEPTED: lines.accepted, Reason.EMPTY: lines.empty, Reason.UNMATCHED: result.unmatched})
        counted += Counter(reason for _, reason in lines.rejected) + Counter(lines.ignored)
    call.metrics.posted.count(counted, result.outcomes)


def _answer(targets: Targets, result: Result) -> dict[str, Any]:
    """Return the part of the report that does not follow from the lines."""
    archives = {slug: outcome.counts() for slug, outcome in result.outcomes.items()}
    errors = {slug: {"error": error} for slug, error in targets.errors.items()}
    return {"unmatched": result.unmatched, "archives": dict(sorted((archives | errors).items()))}


def _reply(lines: Lines, answer: Mapping[str, Any], *, pretty: bool) -> Reply:
    """Return the report.

    :raises Problem: 400, with the report, if every line was rejected.
    """
    report = {"accepted": lines.accepted, "empty": lines.empty, "rejected": list_rejected(lines), **answer}
    if lines.rejected and not (lines.accepted or lines.empty):
        number, reason = lines.rejected[0]
        text = f"every line was rejected, as line {number} for its {reason}: send lines NAME VALUE [TIMESTAMP]"
        raise Problem(HTTPStatus.BAD_REQUEST, text, members=report)
    return whole(report, pretty=pretty)
