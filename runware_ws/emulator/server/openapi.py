"""The OpenAPI document of the REST twin, which the emulator serves as ``/openapi.json``.

The members of an upscale and their limits come from the one table of `runware_ws.protocol.request`,
as do the checks, so the document and the answers cannot differ about them. Where this emulator is
stricter than the service's own document [O], the document says so: a taskUUID is of version 4, and
a URI is one of http or https.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...protocol.request import MEMBERS, MODEL, PATTERNS, TASK_TYPE, Member

__all__ = ["openapi_document"]

_Schema = dict[str, Any]

_TYPES = {str: "string", int: "integer", bool: "boolean"}
_FORMATS = {"uuid4": "uuid", "uri": "uri"}
_STATUSES = {
    400: "Bad Request — Missing or invalid parameters.",
    401: "Unauthorized — No valid API key provided.",
    402: "Payment Required — Insufficient account balance.",
    403: "Forbidden — The API key lacks permissions for this request.",
    429: "Too Many Requests — Rate limit exceeded.",
    500: "Server Error — Something went wrong in the emulator, or was made to.",
    503: "Service Unavailable — Temporarily unavailable (maintenance or capacity).",
    504: "Gateway Timeout — The task takes longer than a request is waited for; it goes on.",
}
# The members of an error, of which the service requires the first two [O].
_ERROR = {
    "code": "A short identifier for the error (e.g., invalidApiKey, timeoutProvider).",
    "message": "A human-readable explanation of what went wrong.",
    "parameter": "The request parameter related to the error, if applicable.",
    "taskType": "The task type of the request that failed.",
    "taskUUID": "The unique identifier of the failed request.",
    "documentation": "A link to relevant documentation.",
}
_IMAGE: _Schema = {
    "title": "Image",
    "description": "Image input (UUID, URL, Data URI, or Base64).",
    "type": "string",
    "anyOf": [
        {"format": "uuid"},
        {"format": "uri", "pattern": PATTERNS["uri"]},
        {"pattern": "^data:image\\/[a-zA-Z]+;base64,[a-zA-Z0-9+/=]+$"},
        {"pattern": "^[a-zA-Z0-9+/=]+$"},
    ],
}
_INPUTS: _Schema = {
    "title": "Inputs",
    "description": "The image to upscale.",
    "type": "object",
    "properties": {"image": _IMAGE},
    "required": ["image"],
    "additionalProperties": False,
}
_KEY: _Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "The emulator's key: it is said at the start.",
}
_EXAMPLE: _Schema = {
    "taskType": TASK_TYPE,
    "taskUUID": "32774e2f-e05b-4a47-a34f-4e1eeba03822",
    "model": MODEL,
    "inputs": {"image": "https://example.com/cat.jpg"},
}
# Each has a taskUUID of its own, so that they may be tried one after the other.
_EXAMPLES: dict[str, list[_Schema]] = {
    "upscale": [_EXAMPLE | {"upscaleFactor": 4}],
    "results inline": [
        _EXAMPLE
        | {
            "taskUUID": "5f7ad0d1-2b1c-4c1e-9a43-0c7f0a4f7c11",
            "outputType": "base64Data",
            "outputFormat": "WEBP",
            "outputQuality": 80,
        }
    ],
    "acknowledged at once": [
        _EXAMPLE
        | {
            "taskUUID": "9a5c1e47-0d3b-4f6e-b1a2-6c8d7e9f0a13",
            "deliveryMethod": "async",
            "includeCost": True,
        }
    ],
}


def openapi_document() -> _Schema:
    """The document, made anew at each call."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Runware API - Real-ESRGAN, emulated",
            "description": "A local stand-in. It upscales with Lanczos resampling, not the model.",
            "version": "1.0.0",
            "x-air-id": MODEL,
        },
        "servers": [{"url": "/v1"}],
        "components": {
            "securitySchemes": {"apiKeyAuth": _KEY},
            "schemas": _schemas(),
        },
        "paths": {"/": {"post": _operation()}},
        "security": [{"apiKeyAuth": []}],
    }


def _schemas() -> _Schema:
    tasks = {
        "UpscaleTask": _upscale(),
        "ImageUpscaleTask": _image_upscale(),
        "ImageUploadTask": _image_upload(),
        "GetResponseTask": _question("getResponse", "Asks for the result of a task."),
        "GetTaskDetailsTask": _question("getTaskDetails", "Asks for a task and its result."),
        "PingTask": _task("ping", "Answered with a pong.", {}, closed=False),
    }
    return {
        "AuthenticationTask": _authentication(),
        **tasks,
        "RequestBody": {
            "type": "array",
            "items": {"anyOf": [_reference(name) for name in tasks]},
            "description": (
                "An array of task objects. An AuthenticationTask as the first one stands for "
                "the Authorization header."
            ),
        },
        "ResponseBody": _response_body(),
        "ErrorResponse": _error_response(),
    }


# Tasks


def _upscale() -> _Schema:
    properties = _options() | {"model": _model(), "inputs": _INPUTS}
    required = ("taskUUID", "model", "inputs")
    return _task(TASK_TYPE, "Upscales an image.", properties, required)


def _image_upscale() -> _Schema:
    """What official clients still send [S]."""
    properties = _options() | {"model": _model(), "inputs": _INPUTS, "inputImage": _IMAGE}
    schema = _task("imageUpscale", "The older form of an upscale.", properties, ("taskUUID",))
    return schema | {"anyOf": [{"required": ["inputs"]}, {"required": ["inputImage"]}]}


def _image_upload() -> _Schema:
    properties = {"taskUUID": _task_uuid(), "image": _IMAGE}
    description = "Stores an image, to be named by its UUID."
    return _task("imageUpload", description, properties, ("taskUUID", "image"))


def _question(task_type: str, description: str) -> _Schema:
    properties = {"taskUUID": _task_uuid()}
    return _task(task_type, description, properties, ("taskUUID",), closed=False)


def _authentication() -> _Schema:
    properties = {
        "apiKey": {"title": "API Key", "description": "Your API key.", "type": "string"},
        "connectionSessionUUID": {
            "title": "Connection Session UUID",
            "description": (
                "Session UUID to resume a previous connection and receive any buffered results. "
                "On a WebSocket only."
            ),
            "type": "string",
            "format": "uuid",
        },
    }
    description = "Authenticates a connection; or a request, as its first task."
    schema = _task("authentication", description, properties, ("apiKey",))
    return {"title": "Authentication", **schema}


def _task(
    task_type: str,
    description: str,
    properties: Mapping[str, _Schema],
    required: tuple[str, ...] = (),
    *,
    closed: bool = True,
) -> _Schema:
    kind = {
        "title": "Task Type",
        "description": "Identifier for the type of task being performed",
        "type": "string",
        "const": task_type,
    }
    schema: _Schema = {
        "type": "object",
        "description": description,
        "properties": {"taskType": kind, **properties},
        "required": ["taskType", *required],
    }
    return schema | {"additionalProperties": False} if closed else schema


# Members


def _options() -> dict[str, _Schema]:
    return {member.wire: _member(member) for member in MEMBERS}


def _task_uuid() -> _Schema:
    return _options()["taskUUID"]


def _model() -> _Schema:
    return {
        "title": "Model",
        "description": "Identifier of the model to use.",
        "type": "string",
        "const": MODEL,
    }


def _member(member: Member) -> _Schema:
    keywords = {
        "title": _title(member.wire),
        "description": _description(member),
        "type": _TYPES[member.kind],
        "enum": list(member.choices) or None,
        "format": _FORMATS.get(member.form),
        "pattern": PATTERNS.get(member.form),
        "minimum": member.minimum,
        "maximum": member.maximum,
        "default": member.default,
    }
    return {name: value for name, value in keywords.items() if value is not None}


def _title(wire: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", wire)
    return words.upper() if len(words) <= 3 else words[0].upper() + words[1:]


def _description(member: Member) -> str:
    if member.only_with is None:
        return member.description
    other, value = member.only_with
    return f"{member.description} Only applies when `{other}` is `{value}`."


# Answers


def _operation() -> _Schema:
    examples = {name: {"value": value} for name, value in _EXAMPLES.items()}
    body = _json("RequestBody")
    body["application/json"]["examples"] = examples
    failures = {str(status): _answer(text, "ErrorResponse") for status, text in _STATUSES.items()}
    return {
        "summary": "Run tasks",
        "description": "Answers when each task has its result, or its acknowledgment.",
        "operationId": "run_real_esrgan",
        "requestBody": {"required": True, "content": body},
        "responses": {"200": _answer("Successful response.", "ResponseBody"), **failures},
    }


def _answer(description: str, schema: str) -> _Schema:
    return {"description": description, "content": _json(schema)}


def _json(schema: str) -> _Schema:
    return {"application/json": {"schema": _reference(schema)}}


def _reference(schema: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _response_body() -> _Schema:
    item = {
        "type": "object",
        "properties": {"taskType": {"type": "string"}, "taskUUID": {"type": "string"}},
        "required": ["taskType"],
    }
    return {
        "type": "object",
        "description": "What succeeded, in the order of the tasks, and what did not.",
        "properties": {
            "data": {"type": "array", "items": item},
            "errors": {"type": "array", "items": _error()},
        },
        "required": ["data"],
        "additionalProperties": False,
    }


def _error_response() -> _Schema:
    return {
        "title": "Error Response",
        "type": "object",
        "description": "Standard error response: nothing succeeded.",
        "properties": {"errors": {"type": "array", "items": _error()}},
        "required": ["errors"],
        "additionalProperties": False,
    }


def _error() -> _Schema:
    texts = {name: {"type": "string", "description": text} for name, text in _ERROR.items()}
    return {
        "type": "object",
        "properties": texts,
        "required": ["code", "message"],
        "additionalProperties": True,
    }
