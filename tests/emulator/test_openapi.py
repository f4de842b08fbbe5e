"""Test the service's OpenAPI document: it is served, and the table of members agrees with it."""

from __future__ import annotations

from typing import Any

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.server.http_server import openapi_document
from runware_ws.protocol.request import MEMBERS, MODEL, TASK_TYPE, Member
from tests.emulator.sockets import get

DOCUMENT: Any = openapi_document()
UPSCALE = DOCUMENT["components"]["schemas"]["RequestBody"]["items"]
CONSTANTS = {"taskType": TASK_TYPE, "model": MODEL}
TYPES = {str: "string", int: "integer", bool: "boolean"}
FORMATS = {"uuid4": "uuid", "uri": "uri", "": None}


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of a member as the document has them."""
    choices = schema.get("enum") or [one["const"] for one in schema.get("oneOf", [])]
    names = ("type", "format", "minimum", "maximum", "default")
    return {"enum": choices} | {name: schema.get(name) for name in names}


def limits_in_table(member: Member) -> dict[str, Any]:
    """Return the limits of a member as the table has them."""
    return {
        "enum": list(member.choices),
        "type": TYPES[member.kind],
        "format": FORMATS[member.form],
        "minimum": member.minimum,
        "maximum": member.maximum,
        "default": member.default,
    }


def test_the_document_is_served_as_json(emulator: Emulator) -> None:
    response = get(f"{emulator.http_url}/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


def test_the_document_that_is_served_names_the_emulator_as_its_server(emulator: Emulator) -> None:
    (server,) = get(f"{emulator.http_url}/openapi.json").json()["servers"]
    assert get(emulator.http_url + server["url"]).status_code == 405  # it takes POST alone


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.wire)
def test_each_member_has_the_limits_of_the_document(member: Member) -> None:
    assert limits_in_table(member) == limits(UPSCALE["properties"][member.wire])


def test_the_document_has_no_other_members_and_requires_what_is_required_here() -> None:
    members = {member.wire for member in MEMBERS} | set(CONSTANTS) | {"inputs"}
    assert set(UPSCALE["properties"]) == members
    assert set(UPSCALE["required"]) == {"taskType", "taskUUID", "model", "inputs"}
    assert UPSCALE["additionalProperties"] is False


@pytest.mark.parametrize("member", CONSTANTS)
def test_the_constants_are_those_of_the_document(member: str) -> None:
    assert UPSCALE["properties"][member]["const"] == CONSTANTS[member]
