"""Drive the REST twin with schemathesis, from the document that the emulator itself serves.

What the document allows is taken, what it forbids is refused, and no answer has a status, a
content type or a body that the document does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from runware_ws.emulator import Emulator
from runware_ws.protocol.request import URI_PATTERN
from tests.emulator.bench import picture
from tests.emulator.sockets import TIMEOUT, get

pytestmark = pytest.mark.fuzz

# Errors of requests that the document allows: no schema can say these.
BEYOND_THE_DOCUMENT = {"conflictTaskUUID", "invalidImage", "mediaNotFound"}
_UUID4 = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
# A request over a socket takes its time, and each is an array of tasks.
BUDGET = settings(
    max_examples=settings().max_examples // 2, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator for which each address in the world holds a picture."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=picture()))
    with Emulator(http_client=lambda: httpx.AsyncClient(transport=transport)) as running:
        yield running


def narrowed(schema: Any) -> Any:
    """Return a schema with what the document says in words only.

    A taskUUID is of version 4; a URI is one of http or https, and can be called.
    """
    if isinstance(schema, list):
        return [narrowed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: narrowed(value) for name, value in schema.items()}
    if "taskUUID" in kept and "format" in kept["taskUUID"]:
        kept["taskUUID"]["pattern"] = _UUID4
    return kept | {"pattern": URI_PATTERN} if kept.get("format") == "uri" else kept


@pytest.fixture
def schemathesis() -> Any:
    """The library. It is not imported where its tests are only collected: that takes long."""
    return pytest.importorskip("schemathesis", reason="it is in the extra `dev` only")


def cases(schemathesis: Any, emulator: Emulator, valid: bool) -> Any:
    """Return requests for the operation of the served document."""
    document = narrowed(get(f"{emulator.http_url}/openapi.json").json())
    modes = schemathesis.GenerationMode
    operation = schemathesis.openapi.from_dict(document)["/"]["POST"]
    return operation.as_strategy(generation_mode=modes.POSITIVE if valid else modes.NEGATIVE)


def answer_to(case: Any, schemathesis: Any, emulator: Emulator) -> Any:
    """Return the answer, which the document describes."""
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    response = case.call(base_url=f"{emulator.http_url}/v1", headers=headers, timeout=TIMEOUT)
    # That valid requests are taken is looked at here: see BEYOND_THE_DOCUMENT.
    skipped = [schemathesis.checks.positive_data_acceptance]
    case.validate_response(response, headers=headers, excluded_checks=skipped)
    assert response.status_code < 500
    return response


def test_what_the_document_allows_is_taken(schemathesis: Any, emulator: Emulator) -> None:
    @BUDGET
    @given(case=cases(schemathesis, emulator, valid=True))
    def run(case: Any) -> None:
        response = answer_to(case, schemathesis, emulator)
        codes = {error["code"] for error in response.json().get("errors", [])}
        assert codes <= BEYOND_THE_DOCUMENT

    run()


def test_what_the_document_forbids_is_refused(schemathesis: Any, emulator: Emulator) -> None:
    @BUDGET
    @given(case=cases(schemathesis, emulator, valid=False))
    def run(case: Any) -> None:
        answer_to(case, schemathesis, emulator)

    run()
