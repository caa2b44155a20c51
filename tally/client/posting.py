"""Adds an event: to the data directory if it is on this machine, or else through the HTTP API."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from time import time
from typing import Any

from tally.engine import Catalog, Event
from tally.errors import ArchiveUnavailable
from tally.settings import Settings

TIMEOUT_S = 5.0


def add_event(fields: Mapping[str, Any], settings: Settings) -> Event:
    """Store an event durably, and return it with its id.

    It is written to TALLY_DATA_DIR if that exists or TALLY_HOST is empty. Otherwise it is posted to TALLY_HTTP_HOST and
    TALLY_HTTP_PORT with the first TALLY_WRITE_TOKEN.

    :raises InvalidEvent: when a field is not valid; nothing is stored then.
    :raises ArchiveUnavailable: when the file cannot be written, or the server does not answer or refuses the event.
    """
    event = Event.create(fields, now=time())
    if settings.host and not settings.data_dir.is_dir():
        return _post(event, settings)
    catalog = Catalog(settings.data_dir)
    catalog.prepare()
    return catalog.events.add(event, now=catalog.now(), retention=settings.events_retention)


def _post(event: Event, settings: Settings) -> Event:
    where = f"{settings.http_host}:{settings.http_port}"
    body = {name: value for name, value in event.to_dict().items() if name != "id" and value is not None}
    headers = {"Content-Type": "application/json"}
    if settings.write_token:
        headers["Authorization"] = f"Bearer {settings.write_token[0]}"
    connection = HTTPConnection(settings.http_host, settings.http_port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", "/events/", json.dumps(body), headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        raise ArchiveUnavailable(f"the event is not stored: {where}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        detail = found.get("detail") if isinstance(found, dict) else found
        raise ArchiveUnavailable(f"the event is not stored: {where} answered {answer.status}: {detail}")
    return Event(event.title, event.text, event.tags, event.since, event.until, found["id"])
