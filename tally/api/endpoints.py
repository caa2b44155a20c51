"""The endpoints: queries, and the management of archives."""

from collections.abc import Collection
from dataclasses import asdict, replace
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode

from tally.api.message import COMMON_HEADERS, KEPT_HEADERS, Headers, Reply, array, empty, streamed, whole, whole_bytes
from tally.api.openapi import document
from tally.api.parameters import read_object
from tally.api.route import Call
from tally.api.schemas import PROPERTIES
from tally.engine.archive import Archive
from tally.engine.asking.names import patterns as offered
from tally.engine.asking.question import Question
from tally.engine.definition import AUTO
from tally.engine.history.derive import Derived
from tally.errors import InvalidDefinition, InvalidQuestion, TallyError, UnknownArchive

EXAMPLE = '{"retention": 48}'
RENAMING = ("glob", "template")


def ask(call: Call) -> Reply:
    """Answer a question about an archive's data."""
    archive, question = _find(call, call.parameters)
    limits = {"timeout_s": call.settings.query_timeout, "max_future_s": call.settings.max_future}
    answer = archive.ask(question, **limits)
    headers = (*_content_location(call, archive, question), *KEPT_HEADERS)
    if answer.tag and call.request.has(f'"{answer.tag}"'):
        answer.close()
        return Reply(304, (("ETag", f'"{answer.tag}"'), *headers), ())

    def find_tag() -> Headers:
        return (("ETag", f'"{answer.tag}"'),) if answer.tag else ()

    headers = (("Content-Type", answer.media_type), *headers)
    return Reply(200, headers, answer, answer.close, late_headers=find_tag)


def names(call: Call) -> Reply:
    """Answer the metric names."""
    asked = Question("values", **{name: call.parameters[name] for name in ("q", "where", "source")})
    archive, question = _find(call, asked)
    found = archive.read_names(question.q, where=map(str, question.where), timeout_s=call.settings.query_timeout)
    reply = streamed(array(chain.from_iterable(found.batches()), pretty=call.is_pretty), found.close)
    return replace(reply, headers=(*reply.headers, *_content_location(call, archive, question)))


def patterns(call: Call) -> Reply:
    """Answer globs to suggest, made from the metric names."""
    archive, question = _find(call, Question("values"))
    names = archive.read_names(timeout_s=call.settings.query_timeout)
    found = offered(chain.from_iterable(names.batches()))
    reply = streamed(array(found, pretty=call.is_pretty), names.close)
    return replace(reply, headers=(*reply.headers, *_content_location(call, archive, question)))


def archives(call: Call) -> Reply:
    """Answer all archives. A file that cannot be read is listed with its error."""
    listed = [_describe_or_fail(call, archive) for archive in call.answers.archives()]
    return whole([each for each in listed if each is not None], pretty=call.is_pretty)


def archive(call: Call) -> Reply:
    """Answer one archive."""
    return whole(_describe(call, call.answers[call.path["slug"]]), pretty=call.is_pretty)


def units(call: Call) -> Reply:
    """Answer the units of metrics."""
    return whole([asdict(rule) for rule in call.catalog.units().rules], pretty=call.is_pretty)


def create(call: Call) -> Reply:
    """Create an archive."""
    body = _read_properties(call, ("slug", "from", *PROPERTIES))
    if "slug" not in body:
        raise InvalidDefinition("slug is missing: give the new archive's file name without .db")
    if "from" in body:
        derived = _derive(call, body)
        if any(call.parameters["dry_run"]):
            return whole(asdict(derived), pretty=call.is_pretty)
        created = call.catalog[body["slug"]]
    elif any(call.parameters["dry_run"]):
        raise InvalidQuestion("parameter 'dry_run' has no meaning here: it is for archives that are filled, by from")
    else:
        created = call.catalog.create(body.pop("slug"), **body)
    location = ("Location", _url(call, "archives", created))
    return whole(_describe(call, created), status=201, pretty=call.is_pretty, headers=(location,))


def _derive(call: Call, properties: dict[str, Any]) -> Derived:
    given = {name: value for name, value in properties.items() if name not in ("slug", "from")}
    source = properties["from"]
    if not isinstance(source, str) or source not in call.catalog:
        raise InvalidDefinition(f"from {source!r:.100} is not an archive: see /archives/ for those that exist")
    return call.catalog.derive(properties["slug"], source, dry_run=any(call.parameters["dry_run"]), **given)


def edit(call: Call) -> Reply:
    """Change an archive."""
    body = _read_properties(call, PROPERTIES)
    edited = _archive(call)
    edited.edit(**body)
    return whole(_describe(call, edited), pretty=call.is_pretty)


def delete(call: Call) -> Reply:
    """Delete an archive and its data."""
    call.catalog.delete(call.path["slug"])
    return empty(204)


def remove_names(call: Call) -> Reply:
    """Remove names that match a glob, or a range of their buckets, and answer what was removed."""
    globs, dry_run = call.parameters["q"], any(call.parameters["dry_run"])
    if len(globs) != 1:
        raise InvalidQuestion(f"q is given {len(globs)} times: give it once, such as q=requests.get.test*")
    bounds = {name: value for name in ("since", "until") for value in call.parameters[name]}
    removed = _archive(call).remove(globs[0], dry_run=dry_run, **bounds)
    return whole(removed._asdict(), pretty=call.is_pretty)


def rename_names(call: Call) -> Reply:
    """Rename names that match a glob by a template, and answer what changed."""
    body = _read_properties(call, RENAMING, example='{"glob": "requests.get.*", "template": "web.*"}')
    if body.keys() != set(RENAMING) or not all(isinstance(text, str) for text in body.values()):
        raise InvalidQuestion("the body is not complete: send glob and template, both as text")
    renamed = _archive(call).rename(body["glob"], body["template"], dry_run=any(call.parameters["dry_run"]))
    return whole(renamed._asdict(), pretty=call.is_pretty)


def backup(call: Call) -> Reply:
    """Answer a copy of the archive's file, made while it is sent."""
    archive = _archive(call)
    download = archive.download()
    named = ("Content-Disposition", f'attachment; filename="{archive.path.name}"')
    headers = (("Content-Type", call.route.media_type), named, *COMMON_HEADERS)
    return Reply(200, headers, download, download.close, is_long=True)


def healthz(call: Call) -> Reply:
    """Answer that the server is running."""
    return whole({"status": "ok"}, pretty=call.is_pretty)


def metrics(call: Call) -> Reply:
    """Answer the metrics for Prometheus."""
    body = call.metrics.text(call.catalog, call.books.read(call.now))
    return whole_bytes(body, call.route.media_type)


def openapi(call: Call) -> Reply:
    """Answer the OpenAPI document of this API."""
    described = document(call.routes, root=call.request.root, guarded=bool(call.settings.read_token))
    return whole(described, pretty=call.is_pretty)


def _archive(call: Call) -> Archive:
    return call.catalog[call.path["slug"]]


def _find(call: Call, question: Question) -> tuple[Archive, Question]:
    """Return the archive that answers a question, and the question to ask it."""
    return call.answers.find(call.path["slug"], question, now=call.now, timeout_s=call.settings.query_timeout)


def _content_location(call: Call, archive: Archive, question: Question) -> Headers:
    """Return the header that names the archive which answers for `auto`: its address for the same question."""
    if call.path["slug"] != AUTO:
        return ()
    fitted = {"step": question.step, "moving": question.moving}
    query = urlencode([(name, fitted.get(name) or text) for name, text in call.request.fields()])
    path = call.request.path.replace(f"/{AUTO}/", f"/{archive.slug}/", 1)
    return (("Content-Location", quote(f"{call.request.root}{path}") + (f"?{query}" if query else "")),)


def _describe_or_fail(call: Call, listed: Archive) -> dict[str, Any] | None:
    try:
        return _describe(call, listed)
    except UnknownArchive:
        return None  # It was deleted after the directory was read.
    except TallyError as error:
        return {"slug": listed.slug, "error": call.public(str(error))}


def _describe(call: Call, described: Archive) -> dict[str, Any]:
    summary = described.summary()
    return {
        **asdict(summary.definition),
        "values_url": _url(call, "values", described),
        "aggregate_url": _url(call, "aggregate", described),
        "first": summary.first,
        "last": summary.last,
        "bytes": summary.bytes,
        **({"damaged": damage} if (damage := described.damage()) else {}),
    }


def _url(call: Call, what: str, archive: Archive) -> str:
    return quote(f"{call.request.root}/{what}/{archive.slug}/")


def _read_properties(call: Call, allowed: Collection[str], *, example: str = EXAMPLE) -> dict[str, Any]:
    """Return the properties in the body, as `read_object`.

    :raises Problem: 413 if it is too long.
    :raises InvalidDefinition: if it is not an object with properties in `allowed`.
    """
    body = read_object(call.request, example)
    for name in body:
        if name not in allowed:
            raise InvalidDefinition(f"{name!r:.100} cannot be set here: use {', '.join(allowed)}")
    return body
