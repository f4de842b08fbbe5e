"""Is a task what the OpenAPI document allows? The first thing that is wrong refuses it.

The members of an upscale and their limits are not written here but in the one table of
`runware_ws.protocol.request`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from ...protocol.request import (
    MEMBERS,
    MODEL,
    Member,
    Problem,
    is_uuid4,
    member_named,
    problem_with,
)
from ...protocol.wire import Item
from .answers import Refusal

__all__ = [
    "check_authentication",
    "check_task_uuid",
    "check_upload",
    "check_upscale",
    "is_link",
    "is_uuid",
]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_DATA_URI = re.compile(r"data:image/[a-zA-Z]+;base64,")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_UPSCALE = frozenset({"taskType", "taskUUID", "model", "inputs"}) | {m.wire for m in MEMBERS}
_UPLOAD = frozenset({"taskType", "taskUUID", "image"})
_AUTHENTICATION = frozenset({"taskType", "apiKey", "connectionSessionUUID"})


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID of any version, as sessions and images have them."""
    return _UUID.fullmatch(text) is not None


def is_link(text: str) -> bool:
    """Whether `text` is an address from which an image can be downloaded."""
    if not text[:8].lower().startswith(("http://", "https://")):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def check_task_uuid(task: Mapping[str, Any]) -> str:
    """The task's UUID as it was sent; `Refusal` when it is missing or none of version 4 [O]."""
    value = _required(task, "taskUUID")
    if not isinstance(value, str) or not is_uuid4(value):
        raise Refusal("invalidTaskUUID", "taskUUID must be a UUID v4.", "taskUUID")
    return value


def check_authentication(task: Mapping[str, Any]) -> tuple[str, str]:
    """The key and the session to resume, "" for none; `Refusal` for anything else [O]."""
    _refuse_unknown(task, _AUTHENTICATION)
    key = task.get("apiKey")
    if key is None or key == "":
        raise Refusal("missingApiKey", "An API key is required.", "apiKey")
    if not isinstance(key, str):
        raise Refusal("invalidApiKey", "Invalid API key.", "apiKey")
    session = task.get("connectionSessionUUID", "")
    if session != "" and not (isinstance(session, str) and is_uuid(session)):
        raise Refusal(
            "invalidConnectionSessionUUID",
            "connectionSessionUUID must be a UUID.",
            "connectionSessionUUID",
        )
    return key, session


def check_upload(task: Mapping[str, Any]) -> str:
    """The image of an `imageUpload`; `Refusal` when the task is not what it should be [D]."""
    _refuse_unknown(task, _UPLOAD)
    return _image(_required(task, "image"), "image")


def check_upscale(task: Mapping[str, Any]) -> tuple[str, Item]:
    """The image and the options of an upscale, as the engine wants them [O].

    Two forms are taken: that of the OpenAPI document, and the older one that official clients
    still send: taskType ``imageUpscale``, the image as ``inputImage`` and no need of a model [S].

    Raises:
        Refusal: the first member that is unknown, missing or wrong.
    """
    older = task.get("taskType") == "imageUpscale"
    _refuse_unknown(task, _UPSCALE | {"inputImage"} if older else _UPSCALE)
    _check_model(task, older=older)
    image = ""
    if "inputs" in task or not (older and "inputImage" in task):
        image = _inputs_image(_required(task, "inputs"))
    if "inputImage" in task:
        image = _image(task["inputImage"], "inputImage")
    members: Item = {}
    for name, value in task.items():
        if (member := member_named(name)) and name != "taskUUID":
            members[name] = _member(member, value)
    return image, members


def _check_model(task: Mapping[str, Any], *, older: bool) -> None:
    if older and "model" not in task:
        return
    model = _required(task, "model")
    if not isinstance(model, str):
        raise Refusal("invalidModel", "model must be a string.", "model", type="string")
    if model != MODEL:
        message = f"This model is not supported; use {MODEL}."
        raise Refusal("unsupportedModel", message, "model", allowedValues=[MODEL])


def _inputs_image(inputs: Any) -> str:
    if not isinstance(inputs, dict):
        raise Refusal("invalidInputs", "inputs must be an object.", "inputs", type="object")
    _refuse_unknown(inputs, {"image"}, "inputs.")
    return _image(_required(inputs, "image", "inputs."), "inputs.image")


def _image(value: Any, parameter: str) -> str:
    """One of the four forms of an image [O]; of the URIs, those that can be downloaded."""
    if not isinstance(value, str):
        raise Refusal("invalidImage", f"{parameter} must be a string.", parameter, type="string")
    if is_uuid(value) or is_link(value) or _is_base64(value):
        return value
    message = f"{parameter} must be a UUID, a URL, a data URI or base64."
    raise Refusal("invalidImage", message, parameter)


def _is_base64(text: str) -> bool:
    """Whether only characters of base64 are there, after a data URI's head if it has one."""
    head = _DATA_URI.match(text[:64])
    body = text[head.end() :] if head else text
    # Megabytes pass here, so this is done by two calls and not by a pattern.
    return bool(body) and body.isascii() and not body.encode().translate(None, _BASE64)


def _member(member: Member, value: Any) -> Any:
    if member.kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON Schema counts 2.0 as an integer
    if problem := problem_with(member, value):
        raise _refusal(member, problem)
    return value


def _refusal(member: Member, problem: Problem) -> Refusal:
    family = "unsupported" if problem.kind == "choice" else "invalid"
    details: dict[str, Any] = {}
    if problem.kind == "choice":
        details["allowedValues"] = list(member.choices)
    if problem.kind == "range":
        limits = {"min": member.minimum, "max": member.maximum}
        details |= {name: limit for name, limit in limits.items() if limit is not None}
    message = f"{member.wire}: {problem.text}; {problem.remedy}."
    return Refusal(_code(family, member.wire), message, member.wire, **details)


def _required(mapping: Mapping[str, Any], name: str, path: str = "") -> Any:
    if name not in mapping:
        raise Refusal(_code("missing", name), f"{path}{name} is required.", path + name)
    return mapping[name]


def _refuse_unknown(mapping: Mapping[str, Any], known: Collection[str], path: str = "") -> None:
    for name in mapping:
        if name not in known:
            parameter = path + name[:100]
            raise Refusal("unknownParameter", f"{parameter!r} is not supported.", parameter)


def _code(family: str, name: str) -> str:
    return family + name[0].upper() + name[1:]
