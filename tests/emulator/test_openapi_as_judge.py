"""The REST twin driven by schemathesis, from the document that the emulator itself serves.

What the document allows is taken, what it forbids is refused, and no answer has a status, a
content type or a body that the document does not know. With a large budget::

    .venv/bin/python -m pytest tests/emulator/test_openapi_as_judge.py --hypothesis-profile=long
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from runware_ws.emulator import Emulator
from runware_ws.emulator.server.openapi import openapi_document
from tests.emulator.bench import picture
from tests.emulator.sockets import TIMEOUT, get

schemathesis = pytest.importorskip("schemathesis", reason="it is in the extra `dev` only")
if TYPE_CHECKING:
    from schemathesis import GenerationMode

# The whole body, and then those kinds of task that have much to get wrong, alone.
KINDS = ["any", "UpscaleTask", "ImageUpscaleTask"]
# What can be wrong with a request that the document allows: no schema can say it.
BEYOND_THE_DOCUMENT = {"conflictTaskUUID", "invalidImage", "mediaNotFound", "taskNotFound"}
# A request over a socket takes its time, and each is an array of tasks.
BUDGET = settings(
    max_examples=settings().max_examples // 2, suppress_health_check=list(HealthCheck)
)


@contextmanager
def offline() -> Iterator[Emulator]:
    """An emulator for which each made-up address in the world holds a picture."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=picture()))
    client = partial(httpx.AsyncClient, transport=transport)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runware_ws.emulator.server.host.httpx.AsyncClient", client)
        with Emulator() as running:
            yield running


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with offline() as running:
        yield running


def operation_of(emulator: Emulator, kind: str = "any") -> Any:
    """The operation of the served document, with one kind of task or with any."""
    document = get(f"{emulator.http_url}/openapi.json").json()
    schemas = document["components"]["schemas"]
    if kind != "any":
        schemas["RequestBody"]["items"] = schemas[kind]
    return schemathesis.openapi.from_dict(document)["/"]["POST"]


def cases(emulator: Emulator, kind: str, mode: GenerationMode) -> Any:
    """Requests for the operation."""
    return operation_of(emulator, kind).as_strategy(generation_mode=mode)


def answer_to(case: Any, emulator: Emulator) -> Any:
    """The answer, which the document describes."""
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    response = case.call(base_url=f"{emulator.http_url}/v1", headers=headers, timeout=TIMEOUT)
    # That valid requests are taken is looked at here: see BEYOND_THE_DOCUMENT.
    skipped = [schemathesis.checks.positive_data_acceptance]
    case.validate_response(response, headers=headers, excluded_checks=skipped)
    assert response.status_code < 500
    return response


def test_the_examples_of_the_document_work_as_they_stand() -> None:
    examples = openapi_document()["paths"]["/"]["post"]["requestBody"]["content"]
    with offline() as emulator:
        operation = operation_of(emulator)
        for example in examples["application/json"]["examples"].values():
            case = operation.Case(body=example["value"], media_type="application/json")
            assert answer_to(case, emulator).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_document_allows_is_taken(emulator: Emulator, kind: str) -> None:
    @BUDGET
    @given(case=cases(emulator, kind, schemathesis.GenerationMode.POSITIVE))
    def run(case: Any) -> None:
        response = answer_to(case, emulator)
        codes = {error["code"] for error in response.json().get("errors", [])}
        assert codes <= BEYOND_THE_DOCUMENT

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_document_forbids_is_refused(emulator: Emulator, kind: str) -> None:
    @BUDGET
    @given(case=cases(emulator, kind, schemathesis.GenerationMode.NEGATIVE))
    def run(case: Any) -> None:
        answer_to(case, emulator)

    run()
