"""The document that the emulator serves, member by member beside the service's own.

The service's is tests/data/real-esrgan.openapi.json, see the README there; what both must say of
the members is written out here as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runware_ws.emulator import Emulator
from runware_ws.emulator.server.openapi import openapi_document
from tests.emulator.sockets import get

DATA = Path(__file__).parent.parent / "data"
OURS = openapi_document()
THEIRS = json.loads((DATA / "real-esrgan.openapi.json").read_text(encoding="utf-8"))
UPSCALE = OURS["components"]["schemas"]["UpscaleTask"]
THEIR_UPSCALE = THEIRS["components"]["schemas"]["RequestBody"]["items"]
TEXT = {"title", "description", "summary", "examples"}

# Of each member, what the service's document says but for titles and descriptions.
MEMBERS: dict[str, dict[str, Any]] = {
    "taskType": {"type": "string", "const": "upscale"},
    "taskUUID": {"type": "string", "format": "uuid"},
    "model": {"type": "string", "const": "runware:504@1"},
    "upscaleFactor": {"type": "integer", "enum": [2, 4]},
    "outputType": {"type": "string", "enum": ["URL", "base64Data", "dataURI"], "default": "URL"},
    "outputFormat": {"type": "string", "enum": ["JPG", "PNG", "WEBP"], "default": "JPG"},
    "outputQuality": {"type": "integer", "minimum": 20, "maximum": 99, "default": 95},
    "ttl": {"type": "integer", "minimum": 60},
    "includeCost": {"type": "boolean", "default": False},
    "webhookURL": {"type": "string", "format": "uri"},
    "uploadEndpoint": {"type": "string", "format": "uri"},
    "deliveryMethod": {"type": "string", "enum": ["sync", "async"], "default": "sync"},
    "inputs": {
        "type": "object",
        "properties": {
            "image": {
                "type": "string",
                "anyOf": [
                    {"format": "uuid"},
                    {"format": "uri"},
                    {"pattern": "^data:image\\/[a-zA-Z]+;base64,[a-zA-Z0-9+/=]+$"},
                    {"pattern": "^[a-zA-Z0-9+/=]+$"},
                ],
            }
        },
        "required": ["image"],
        "additionalProperties": False,
    },
}
# Where ours is stricter: a UUID is of version 4, as the service says in words, and a URI is one
# that can be called.
NARROWED = {"uuid", "uri"}


def facts(schema: Any) -> Any:
    """A schema without its texts, `oneOf` constants as an `enum`, and without our own patterns."""
    if isinstance(schema, list):
        return [facts(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: facts(value) for name, value in schema.items() if name not in TEXT}
    if "oneOf" in kept:
        kept["enum"] = [one["const"] for one in kept.pop("oneOf")]
    if kept.get("format") in NARROWED:
        kept.pop("pattern", None)
    return kept


def test_the_document_is_served_as_json(emulator: Emulator) -> None:
    response = get(f"{emulator.http_url}/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == OURS


@pytest.mark.parametrize("member", MEMBERS)
def test_each_member_is_what_the_services_document_says(member: str) -> None:
    assert facts(UPSCALE["properties"][member]) == MEMBERS[member]
    assert facts(THEIR_UPSCALE["properties"][member]) == MEMBERS[member]


@pytest.mark.parametrize("member", MEMBERS)
def test_each_member_has_the_services_title_and_a_description_but_for_the_obvious(
    member: str,
) -> None:
    assert UPSCALE["properties"][member]["title"] == THEIR_UPSCALE["properties"][member]["title"]
    assert member == "taskType" or UPSCALE["properties"][member]["description"]


def test_there_are_no_other_members_and_the_same_ones_are_required() -> None:
    for schema in (UPSCALE, THEIR_UPSCALE):
        assert set(schema["properties"]) == set(MEMBERS)
        assert set(schema["required"]) == {"taskType", "taskUUID", "model", "inputs"}
        assert schema["additionalProperties"] is False


def test_the_authentication_is_that_of_the_service() -> None:
    ours, theirs = (
        facts(document["components"]["schemas"]["AuthenticationTask"])
        for document in (OURS, THEIRS)
    )
    assert ours["properties"].pop("taskType") == {"type": "string", "const": "authentication"}
    assert theirs["properties"].pop("taskType") == {"const": "authentication"}
    assert ours == {name: theirs[name] for name in theirs if not name.startswith("x-")}


def test_the_errors_are_those_of_the_service() -> None:
    ours, theirs = (
        document["components"]["schemas"]["ErrorResponse"] for document in (OURS, THEIRS)
    )
    assert facts(ours) == facts(theirs)


def test_the_operation_is_that_of_the_service_with_one_status_more() -> None:
    (ours,), (theirs,) = OURS["paths"]["/"].values(), THEIRS["paths"]["/"].values()
    assert ours["operationId"] == theirs["operationId"]
    assert facts(ours["requestBody"]) == facts(theirs["requestBody"])
    documented = {status: facts(answer) for status, answer in theirs["responses"].items()}
    assert {
        status: facts(answer) for status, answer in ours["responses"].items() if status != "504"
    } == documented
    assert set(ours["responses"]) - set(documented) == {"504"}  # a queue waited for too long [D]
