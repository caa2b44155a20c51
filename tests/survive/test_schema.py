"""The API against its own description: whatever is asked, no error of ours, and no answer that is not described."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tally.api.message import MAX_URL_CHARACTERS
from tally.api.openapi import document
from tally.api.routes import ROUTES
from tally.engine import Catalog
from tests.api.cases import SAMPLES, bearer
from tests.api.server import Server, serving
from tests.processes import Running, started
from tests.survive.scale import FULL, scaled

TOKENS = {"TALLY_READ_TOKEN": "reader", "TALLY_WRITE_TOKEN": "writer"}
SENT: tuple[dict[str, str], ...] = ({}, bearer("reader"), bearer("writer"), bearer("wrong"))
EXAMPLES = scaled(4, 500)
# uvicorn refuses an address of twice that by itself, and closes the connection under who still sends it.
ADDRESS_MAX_CHARACTERS = 2 * MAX_URL_CHARACTERS
PROTOBUF = "application/x-protobuf"
PROMISED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


def understood(value: Any) -> Any:
    """Return the description without `prefixItems`, which schemathesis takes for what it was in older drafts."""
    if isinstance(value, dict):
        return {key: understood(each) for key, each in value.items() if key != "prefixItems"}
    return [understood(each) for each in value] if isinstance(value, list | tuple) else value


DESCRIPTION = understood(document(ROUTES, root="", guarded=True))
OPERATIONS: list[Any] = [
    found.ok() for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations() if isinstance(found, Ok)
]


@schemathesis.serializer(PROTOBUF)
def serialize(_: Any, value: Any) -> bytes:
    """Return what is sent as a message: any bytes."""
    return str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that is served, with an archive, so that `tally serve` creates no others."""
    directory = tmp_path_factory.mktemp("described")
    filled(directory)
    return directory


@pytest.fixture(scope="module")
def guarded(directory: Path) -> Iterator[Running]:
    """Return `tally serve` with tokens, collector and all."""
    with started(directory, "serve", TALLY_FLUSH_TIME=1, **TOKENS) as server:
        yield server


@pytest.fixture(scope="module")
def unguarded(directory: Path) -> Iterator[Server]:
    """Return uvicorn with the app alone, that all may ask and none may change."""
    with serving(directory) as server:
        yield server


def filled(directory: Path) -> None:
    """Make the archive that is asked, unless it is there."""
    if "daily" not in Catalog(directory):
        Catalog(directory).create("daily", resolution=10, retention=0).record(SAMPLES)


def ask(case: Any, server: Running, directory: Path, sent: dict[str, str]) -> None:
    """Ask of an archive that is there, as often as not, and hold the answer against the description."""
    sent_to = case.as_transport_kwargs(base_url=server.url)
    assume(len(sent_to["url"] + urlencode(sent_to["params"], doseq=True)) <= ADDRESS_MAX_CHARACTERS)
    filled(directory)
    response = case.call(base_url=server.url, headers=sent)
    assert response.status_code != 500
    case.validate_response(response, checks=PROMISED)


def test_every_route_is_asked() -> None:
    """None of what is described is left out because it was not understood."""
    assert sum(not route.is_page for route in ROUTES) == len(OPERATIONS)


# Where nothing may be given, nothing can be wrong.
CASES = [
    pytest.param(operation, mode, id=f"{operation.label}-{mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    if mode == GenerationMode.POSITIVE or operation.label != "GET /ping"
]


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_every_answer_is_described(
    operation: Any, mode: GenerationMode, guarded: Running, unguarded: Server, directory: Path
) -> None:
    """What fits the description, and what does not, with tokens and without, is answered as described."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not FULL,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        operation.as_strategy(generation_mode=mode),
        st.sampled_from((guarded, unguarded)),
        st.sampled_from(SENT),
        st.booleans(),
    )
    def hold(case: Any, server: Server, sent: dict[str, str], is_there: bool) -> None:
        if is_there and "slug" in case.path_parameters:
            case.path_parameters["slug"] = "daily"
        ask(case, server, directory, sent)

    hold()
